import { InvalidParameterError } from '../../protocol/errors.ts';

/** What our JSON schema uses of the standard; `is_base: false` tells clients that the property is optional. */
interface PropertySchema {
  type: string | string[];
  description: string;
  readOnly?: true;
  enum?: (string | null)[];
  pattern?: string;
  maxLength?: number;
  minimum?: number;
  items?: { type: 'string'; maxLength: number };
  is_base?: false;
}

const UUID = '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$';
const TEXT_LIMIT = 255;
export const CONTAINER_FORMATS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'];
export const DISK_FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'];
export const VISIBILITIES = ['community', 'public', 'private', 'shared'];

const text = (description: string, more: Partial<PropertySchema> = {}): PropertySchema => ({ type: 'string', description, ...more });
const optionalText = (description: string, more: Partial<PropertySchema> = {}): PropertySchema => ({ type: ['null', 'string'], description, ...more });
const readOnly = { readOnly: true } as const;
const extra = { is_base: false } as const;

/** Every property that an image of ours has or that clients know. No `stores`: it makes python-glanceclient 4.1 fail. */
export const IMAGE_PROPERTIES: Readonly<Record<string, PropertySchema>> = {
  id: text('UUID of the image', { pattern: UUID }),
  name: optionalText('Name for people; need not be unique', { maxLength: TEXT_LIMIT }),
  status: text('Where the image is in its life', { ...readOnly, enum: ['queued', 'saving', 'active', 'killed', 'deleted', 'uploading', 'importing', 'pending_delete', 'deactivated'] }),
  visibility: text('Who sees the image', { enum: VISIBILITIES }),
  protected: { type: 'boolean', description: 'Whether deletion is refused' },
  os_hidden: { type: 'boolean', description: 'Whether lists leave the image out unless asked for' },
  checksum: optionalText('MD5 of the data', { ...readOnly, maxLength: 32 }),
  os_hash_algo: optionalText('Algorithm of os_hash_value', { ...readOnly, maxLength: 64 }),
  os_hash_value: optionalText('Digest of the data', { ...readOnly, maxLength: 128 }),
  owner: optionalText('Project that owns the image', { maxLength: TEXT_LIMIT }),
  size: { type: ['null', 'integer'], description: 'Bytes of the data', ...readOnly },
  virtual_size: { type: ['null', 'integer'], description: 'Bytes of the disk that the data describes', ...readOnly },
  container_format: optionalText('Format of the container', { enum: [null, ...CONTAINER_FORMATS] }),
  disk_format: optionalText('Format of the data', { enum: [null, ...DISK_FORMATS] }),
  created_at: text('When the image was created', readOnly),
  updated_at: text('When the image was last changed', readOnly),
  tags: { type: 'array', description: 'Labels', items: { type: 'string', maxLength: TEXT_LIMIT } },
  direct_url: text('Where the data lies', readOnly),
  min_ram: { type: 'integer', description: 'MiB of memory that the image needs', minimum: 0 },
  min_disk: { type: 'integer', description: 'GiB of disk that the image needs', minimum: 0 },
  self: text('Path of the image', readOnly),
  file: text('Path of the data', readOnly),
  schema: text('Path of this schema', readOnly),
  kernel_id: optionalText('Image with the kernel of an AMI image', { ...extra, pattern: UUID }),
  ramdisk_id: optionalText('Image with the ramdisk of an AMI image', { ...extra, pattern: UUID }),
  instance_uuid: text('Server that the image was taken from', extra),
  architecture: text('Architecture of the operating system', extra),
  os_distro: text('Distribution of the operating system', extra),
  os_version: text('Version of the operating system', extra),
  description: text('Description for people', extra),
};

export const IMAGE_SCHEMA = {
  name: 'image',
  properties: IMAGE_PROPERTIES,
  additionalProperties: { type: 'string' },
  links: [
    { rel: 'self', href: '{self}' },
    { rel: 'enclosure', href: '{file}' },
    { rel: 'describedby', href: '{schema}' },
  ],
};

export const IMAGES_SCHEMA = {
  name: 'images',
  properties: { images: { type: 'array', items: IMAGE_SCHEMA }, first: { type: 'string' }, next: { type: 'string' }, schema: { type: 'string' } },
  links: [
    { rel: 'first', href: '{first}' },
    { rel: 'next', href: '{next}' },
    { rel: 'describedby', href: '{schema}' },
  ],
};

/** Whether the property belongs to every image, as opposed to one that people add. */
export const isBaseProperty = (name: string): boolean => {
  const property = Object.hasOwn(IMAGE_PROPERTIES, name) ? IMAGE_PROPERTIES[name] : undefined;
  return property !== undefined && property.is_base !== false;
};

/** @throws InvalidParameterError when the value is not one of the property's. */
export function validateProperty(name: string, value: unknown): void {
  const schema: PropertySchema = (Object.hasOwn(IMAGE_PROPERTIES, name) ? IMAGE_PROPERTIES[name] : undefined) ?? text('Added property');
  const problem = problemOf(schema, value);
  if (problem !== undefined) throw new InvalidParameterError(`Provided object does not match schema 'image': ${name}: ${JSON.stringify(value)?.slice(0, 100)} ${problem}`, { property: name });
}

function problemOf(schema: PropertySchema, value: unknown): string | undefined {
  const types = [schema.type].flat();
  if (!types.some((type) => isOfType(type, value))) return `is not of type ${types.join(' or ')}`;
  if (schema.enum !== undefined && !schema.enum.includes(value as string | null)) return `is not one of ${schema.enum.filter((one) => one !== null).join(', ')}`;
  if (typeof value === 'string' && schema.maxLength !== undefined && value.length > schema.maxLength) return `is longer than ${schema.maxLength} characters`;
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) return `does not match ${schema.pattern}`;
  if (typeof value === 'number' && schema.minimum !== undefined && value < schema.minimum) return `is less than ${schema.minimum}`;
  if (Array.isArray(value)) return value.map((item) => problemOf({ description: '', ...(schema.items ?? { type: 'string' }) }, item)).find((problem) => problem !== undefined);
  return undefined;
}

function isOfType(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type === 'array') return Array.isArray(value);
  return typeof value === type;
}

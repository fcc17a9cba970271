import { messageOf } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { isDestination } from '../../../protocol/image-ref.ts';
import { UUID_PATTERN } from '../../../protocol/provision.ts';
import { segment } from '../../api-client.ts';
import { isObject } from '../../api-error.ts';
import type { Arguments } from '../../arguments.ts';
import type { CommandContext, OptionSpec } from '../../command.ts';
import { CommandFailure, EXIT, UsageError } from '../../exit-code.ts';
import type { PatchOperation } from './patch.ts';

/** What is to be written: an image of the image service, or a URL whose data has this digest. */
export type ImageChoice = { kind: 'ref'; imageRef: string } | { kind: 'url'; info: Readonly<Record<string, string>> };

const HEX_DIGITS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };
/** Keys of instance_info that describe the image; those of an earlier one must not stay. */
const IMAGE_KEYS = ['image_source', 'image_os_hash_algo', 'image_os_hash_value', 'image_disk_format', 'image_checksum'];

export const imageOptions = (required: boolean): Readonly<Record<string, OptionSpec>> => ({
  image: { kind: 'text', describe: `Id or name of the image to write, or its http(s)/file URL${required ? '' : ' (default: what instance_info says)'}`, names: 'images', ...(required ? { required } : {}) },
  'image-checksum': { kind: 'text', describe: 'ALGORITHM:HEX of what is behind the URL (sha256, sha384, sha512)' },
  'image-format': { kind: 'text', describe: 'Disk format of what is behind the URL', choices: ['qcow2', 'raw'] },
});

/** Id of an image given by id or name. Ids are taken as they are: the service that writes the image looks them up itself. */
export async function imageIdOf({ images }: CommandContext, idOrName: string): Promise<string> {
  return UUID_PATTERN.test(idOrName) ? idOrName : (await images.find(idOrName)).id;
}

/** What receives a snapshot: an image given by id or name, or a place given by its URL, which the service that writes it checks. */
export const targetOf = (context: CommandContext, given: string): Promise<string> => (isDestination(given.toLowerCase()) ? Promise.resolve(given) : imageIdOf(context, given));

/** The image that the options name; undefined when they name none. @throws UsageError for a URL without a digest, and for a digest without a URL. */
export async function readImageChoice(context: CommandContext, args: Arguments): Promise<ImageChoice | undefined> {
  const image = args.text('image') === undefined ? undefined : args.required('image');
  const checksum = args.text('image-checksum');
  const format = args.text('image-format');
  if (image !== undefined && /^(https?|file):\/\//i.test(image)) {
    if (checksum === undefined) throw new UsageError('--image with a URL needs --image-checksum ALGORITHM:HEX: what is written must be what you mean');
    const { algorithm, value } = parseChecksum(checksum);
    return { kind: 'url', info: { image_source: image, image_os_hash_algo: algorithm, image_os_hash_value: value, ...(format === undefined ? {} : { image_disk_format: format }) } };
  }
  if (checksum !== undefined || format !== undefined) throw new UsageError('--image-checksum and --image-format go with an --image that is a URL; the image service knows its own');
  return image === undefined ? undefined : { kind: 'ref', imageRef: await imageIdOf(context, image) };
}

function parseChecksum(text: string): { algorithm: string; value: string } {
  const [algorithm = '', value = ''] = text.toLowerCase().split(':');
  const digits = HEX_DIGITS[algorithm];
  if (digits === undefined || !/^[0-9a-f]+$/.test(value) || value.length !== digits) {
    throw new UsageError(`--image-checksum expects ALGORITHM:HEX, with ${Object.entries(HEX_DIGITS).map(([name, count]) => `${count} digits for ${name}`).join(', ')}`);
  }
  return { algorithm, value };
}

/** Stores the image in instance_info for as long as `request` is not refused: then instance_info is as it was, as far as it was shown. */
export async function withImageStored<T>(context: CommandContext, ident: string, info: Readonly<Record<string, string>>, request: () => Promise<T>): Promise<T> {
  const { api } = context;
  const path = `/v1/nodes/${segment(ident)}`;
  const { instance_info: found } = await api.getObject(`${path}?fields=instance_info`);
  const before: JsonObject = isObject(found) ? found : {};
  await api.request('PATCH', path, { body: changes(before, info) });
  try {
    return await request();
  } catch (error) {
    // Not where the request may have been taken: the image is needed then.
    if (error instanceof CommandFailure && ([EXIT.refused, EXIT.notFound, EXIT.conflict] as number[]).includes(error.exitCode)) await putBack(context, ident, before, info);
    throw error;
  }
}

/** What goes wrong here is only said: the refusal before it is the news. */
async function putBack({ api, output }: CommandContext, ident: string, before: JsonObject, info: Readonly<Record<string, string>>): Promise<void> {
  const image = pickImage(before);
  const masked = Object.keys(image).filter((key) => JSON.stringify(image[key]).includes(MASK));
  const wanted = masked.length > 0 ? {} : image; // half of it would be another image
  try {
    await api.request('PATCH', `/v1/nodes/${segment(ident)}`, { body: changes(info, wanted) });
    if (masked.length > 0) output.say(`the image in instance_info of node ${ident} could not be put back, since ${masked.join(', ')} is shown masked: none is set now; set it again with "baremetal node set ${ident} --instance-info image_source=..."`);
  } catch (error) {
    output.say(`instance_info of node ${ident} could not be put back and still names the new image: ${messageOf(error)}`);
  }
}

/** What the service shows in place of a secret. */
const MASK = '******';
const pickImage = (info: JsonObject): JsonObject => Object.fromEntries(Object.entries(info).filter(([key]) => IMAGE_KEYS.includes(key)));

/** JSON Patch that makes the image's keys of instance_info `wanted`. */
function changes(present: JsonObject, wanted: JsonObject): PatchOperation[] {
  return IMAGE_KEYS.flatMap((key): PatchOperation[] => {
    const value = wanted[key];
    if (value !== undefined) return [{ op: 'add', path: `/instance_info/${key}`, value }];
    return present[key] === undefined ? [] : [{ op: 'remove', path: `/instance_info/${key}` }];
  });
}

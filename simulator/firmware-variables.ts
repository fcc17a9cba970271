import { readFile } from 'node:fs/promises';
import { OperationFailedError } from '../protocol/errors.ts';

/** Layout of EDK II's variable store (MdeModulePkg/Include/Guid/VariableFormat.h) in a firmware volume (PI specification, volume 3). */
const VOLUME_SIGNATURE = { offset: 0x28, text: '_FVH' };
const VOLUME_HEADER_LENGTH_OFFSET = 0x30;
const AUTHENTICATED_STORE = 'aaf32c78-947b-439a-a180-2e144ec37792';
const STORE_HEADER_BYTES = 28;
const VARIABLE_START = 0x55aa;
const VARIABLE_HEADER_BYTES = 60;
/** Written whole, and not deleted since; or about to be replaced, which never came to its end. */
const LIVING_STATES = [0x3f, 0x3e];
const GLOBAL_VENDOR = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** What a UEFI machine boots, of its firmware's variables (UEFI specification, 3.3). Numbers as four hexadecimal digits. */
export interface BootVariables {
  bootOrder: string[];
  bootNext: string | null;
  /** Description of each Boot#### by its number. */
  entries: Record<string, string>;
}

/** Reads the variables of a machine that is off. @throws OperationFailedError when the file is not OVMF's. */
export async function readBootVariables(file: string): Promise<BootVariables> {
  const variables = globalVariables(await readFile(file), file);
  const numbers = (name: string): string[] => {
    const data = variables.get(name) ?? Buffer.alloc(0);
    return Array.from({ length: data.length >> 1 }, (_, index) => hex4(data.readUInt16LE(2 * index)));
  };
  const entries = [...variables].flatMap(([name, data]) => {
    const number = /^Boot([0-9A-F]{4})$/.exec(name)?.[1];
    return number === undefined ? [] : [[number, textAt(data, 6)] as const]; // EFI_LOAD_OPTION: attributes (4), length of the path (2), description
  });
  return { bootOrder: numbers('BootOrder'), bootNext: numbers('BootNext')[0] ?? null, entries: Object.fromEntries(entries.sort()) };
}

function globalVariables(image: Buffer, file: string): Map<string, Buffer> {
  const storeOffset = image.length > 0x40 ? image.readUInt16LE(VOLUME_HEADER_LENGTH_OFFSET) : 0;
  const isVolume = image.toString('latin1', VOLUME_SIGNATURE.offset, VOLUME_SIGNATURE.offset + 4) === VOLUME_SIGNATURE.text;
  if (!isVolume || guidAt(image, storeOffset) !== AUTHENTICATED_STORE) throw new OperationFailedError(`${file} does not hold the variables of an OVMF firmware: expected a firmware volume with a variable store`);
  const end = storeOffset + image.readUInt32LE(storeOffset + 16);
  const found = new Map<string, Buffer>();
  for (let at = storeOffset + STORE_HEADER_BYTES; at + VARIABLE_HEADER_BYTES <= end && image.readUInt16LE(at) === VARIABLE_START; ) {
    const [nameBytes, dataBytes] = [image.readUInt32LE(at + 36), image.readUInt32LE(at + 40)];
    const nameAt = at + VARIABLE_HEADER_BYTES;
    const living = LIVING_STATES.includes(image.readUInt8(at + 2));
    if (living && guidAt(image, at + 44) === GLOBAL_VENDOR) found.set(textAt(image, nameAt), image.subarray(nameAt + nameBytes, nameAt + nameBytes + dataBytes));
    at = (nameAt + nameBytes + dataBytes + 3) & ~3;
  }
  return found;
}

/** Text of 16-bit characters up to a zero. */
function textAt(data: Buffer, offset: number): string {
  let end = offset;
  while (end + 1 < data.length && data.readUInt16LE(end) !== 0) end += 2;
  return data.toString('utf16le', offset, end);
}

/** The mixed byte order of EFI's GUIDs. */
function guidAt(data: Buffer, offset: number): string {
  const rest = data.toString('hex', offset + 8, offset + 16);
  const first = data.readUInt32LE(offset).toString(16).padStart(8, '0');
  return `${first}-${hex4(data.readUInt16LE(offset + 4)).toLowerCase()}-${hex4(data.readUInt16LE(offset + 6)).toLowerCase()}-${rest.slice(0, 4)}-${rest.slice(4)}`;
}

const hex4 = (value: number): string => value.toString(16).toUpperCase().padStart(4, '0');

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readBootVariables } from '../../../simulator/firmware-variables.ts';

/** Of Debian's package ovmf: a variable store as new. */
const NEW_STORE = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const STORE_OFFSET = 72;
const FIRST_VARIABLE = STORE_OFFSET + 28;
const GLOBAL_VENDOR = '61dfe48bca93d211aa0d00e098032b8c';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'firmware-variables-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** One variable as EDK II writes it. */
function variable(name: string, data: Buffer, state = 0x3f): Buffer {
  const text = Buffer.from(`${name}\0`, 'utf16le');
  const header = Buffer.alloc(60);
  header.writeUInt16LE(0x55aa, 0);
  header.writeUInt8(state, 2);
  header.writeUInt32LE(text.length, 36);
  header.writeUInt32LE(data.length, 40);
  header.write(GLOBAL_VENDOR, 44, 'hex');
  const whole = Buffer.concat([header, text, data]);
  return Buffer.concat([whole, Buffer.alloc(-whole.length & 3, 0xff)]);
}

async function storeWith(...variables: Buffer[]): Promise<string> {
  const image = await readFile(NEW_STORE);
  Buffer.concat(variables).copy(image, FIRST_VARIABLE);
  const path = join(directory, 'variables.fd');
  await writeFile(path, image);
  return path;
}

describe('the boot variables of a UEFI machine', () => {
  test('are none in a new store', async () => {
    expect(await readBootVariables(NEW_STORE)).toEqual({ bootOrder: [], bootNext: null, entries: {} });
  });

  test('are read with what they are called, the deleted ones left out', async () => {
    const option = Buffer.concat([Buffer.alloc(6), Buffer.from('UEFI Misc Device\0', 'utf16le'), Buffer.alloc(4)]);
    const path = await storeWith(
      variable('BootOrder', Buffer.from([9, 0]), 0x3d), // deleted
      variable('BootOrder', Buffer.from([1, 0, 0x0a, 0])),
      variable('Boot0001', option),
      variable('BootNext', Buffer.from([0x0a, 0])),
    );
    expect(await readBootVariables(path)).toEqual({ bootOrder: ['0001', '000A'], bootNext: '000A', entries: { '0001': 'UEFI Misc Device' } });
  });

  test('are not made up of another file', async () => {
    const path = join(directory, 'other');
    await writeFile(path, 'something else'.repeat(100));
    await expect(readBootVariables(path)).rejects.toThrow(/does not hold the variables of an OVMF firmware/);
  });
});

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readElfLinks } from '../../../../ramdisk-agent/image/elf-file.ts';
import { createEmptyIcuData } from '../../../../ramdisk-agent/image/empty-icu-data.ts';

test('the library of empty ICU data is loaded, and has the one symbol that ICU looks for, with an empty table', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metalshot-icu-'));
  try {
    const path = join(directory, 'libicudata.so.72');
    const bytes = createEmptyIcuData('libicudata.so.72');
    writeFileSync(path, bytes);
    expect(readElfLinks(bytes)).toEqual({ needed: [], runPaths: [], interpreter: null });
    expect(bytes.length).toBeLessThan(4096);
    const script = `import ctypes, sys; data = ctypes.c_char.in_dll(ctypes.CDLL(sys.argv[1]), 'icudt72_dat'); print(ctypes.string_at(ctypes.addressof(data), 36).hex())`;
    const { stdout, stderr } = spawnSync('python3', ['-c', script, path], { encoding: 'utf8' });
    expect({ stderr, header: stdout.slice(0, 40), entries: stdout.trim().slice(64) }).toEqual({ stderr: '', header: '2000da271400000000000200436d6e4401000000', entries: '00000000' });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

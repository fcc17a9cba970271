import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { LOCAL_BOOT_SCRIPT } from '../../../../ramdisk-agent/image/boot-loaders.ts';
import { requirePackages } from '../../../peers/glance.ts';

const CHECKER = '/usr/bin/grub-script-check';

describe('what grub-local.efi does', () => {
  const check = (script: string): { status: number | null; stderr: string } => {
    requirePackages({ [CHECKER]: 'grub-common' });
    return spawnSync(CHECKER, { input: script, encoding: 'utf8' });
  };

  test('is a script that GRUB can read', () => {
    expect(check(LOCAL_BOOT_SCRIPT)).toMatchObject({ status: 0, stderr: '' });
  });

  test('would be refused with its last "fi" or "done" missing', () => {
    expect(check(LOCAL_BOOT_SCRIPT.replace(/done(?![^]*done)/, '')).status).toBe(1);
    expect(check(LOCAL_BOOT_SCRIPT.replace(/fi(?=\n})/, '')).status).toBe(1);
  });
});

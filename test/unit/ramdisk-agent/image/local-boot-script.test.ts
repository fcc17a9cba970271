import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { LOCAL_BOOT_SCRIPT } from '../../../../ramdisk-agent/image/boot-loaders.ts';

/** Of Debian's package grub-common. */
const CHECKER = '/usr/bin/grub-script-check';
const describeWithChecker = existsSync(CHECKER) ? describe : describe.skip;

describeWithChecker(`what grub-local.efi does${existsSync(CHECKER) ? '' : ` [skipped: no ${CHECKER}]`}`, () => {
  const check = (script: string): { status: number | null; stderr: string } => spawnSync(CHECKER, { input: script, encoding: 'utf8' });

  test('is a script that GRUB can read', () => {
    expect(check(LOCAL_BOOT_SCRIPT)).toMatchObject({ status: 0, stderr: '' });
  });

  test('would be refused with its last "fi" or "done" missing', () => {
    expect(check(LOCAL_BOOT_SCRIPT.replace(/done(?![^]*done)/, '')).status).toBe(1);
    expect(check(LOCAL_BOOT_SCRIPT.replace(/fi(?=\n})/, '')).status).toBe(1);
  });
});

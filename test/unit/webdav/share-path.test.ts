import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isFileName, parseSharePath } from '../../../webdav/share-path.ts';

const UUID = '3f9a1c52-6d0b-4a57-9c1e-0b8f5f0a7d11';
const PIECES = ['/', '\\', '.', '..', '%2e', '%2E%2e', '%2f', '%5c', '%00', '%', '%25', '?', '#', ';', 'a', 'disk.qcow2', UUID, 'snapshots', '\u0000', ' '];

test('whatever a path is made of, what is read from it is one snapshot and one plain level', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.string()), { maxLength: 8 }), (pieces) => {
      const target = parseSharePath(`/snapshots/${UUID}/${pieces.join('')}`, '/snapshots');
      if (target === null) return;
      expect(target.snapshotUuid).toBe(UUID);
      expect(target.name === null || !/[/\\\0]|^\.\.?$/.test(target.name)).toBe(true);
      if (target.name !== null && isFileName(target.name)) expect(target.name).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
    }),
  );
});

test('the path of the mount may be empty or deep', () => {
  expect(parseSharePath(`/${UUID}/disk.qcow2`, '')).toEqual({ snapshotUuid: UUID, name: 'disk.qcow2' });
  expect(parseSharePath(`/a/b/${UUID}/`, '/a/b')).toEqual({ snapshotUuid: UUID, name: null });
  expect(parseSharePath(`/a/b/${UUID}`, '/a/b')).toEqual({ snapshotUuid: UUID, name: null });
  expect(parseSharePath(`/a/bb/${UUID}`, '/a/b')).toBeNull();
});

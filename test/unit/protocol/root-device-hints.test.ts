import { expect, test } from '@jest/globals';
import { namesAnotherDisk } from '../../../protocol/root-device-hints.ts';

const KNOWN = { serial: ' Ab1 ', wwn: null };

test.each<[boolean, string, Record<string, unknown> | null]>([
  [false, 'no hints', null],
  [false, 'hints of other facts', { size: 10, name: '/dev/sdb', model: 'x' }],
  [false, 'its own serial, in any case', { serial: 'aB1' }],
  [false, 'its own serial, with the operator', { serial: 's== ab1', size: '>= 4' }],
  [true, 'another serial', { serial: 'ab2' }],
  [true, 'another serial that is a number', { serial: 12 }],
  [true, 'a WWN, where none is known of it', { wwn: '0x1' }],
  [true, 'its own serial, but a WWN', { serial: 'ab1', wwn: '0x1' }],
  ...['s!= ab1', '<in> ab', '<or> x <or> y', '<all-in> x', 's> a', '> 1', 's==', '  ', ''].map((serial): [boolean, string, Record<string, unknown>] => [false, `a serial that is no name: "${serial}"`, { serial }]),
  [false, 'a serial that makes no sense', { serial: ['ab2'], wwn: null }],
])('%s: another disk is named by %s', (expected, _what, hints) => {
  expect(namesAnotherDisk(hints, KNOWN)).toBe(expected);
});

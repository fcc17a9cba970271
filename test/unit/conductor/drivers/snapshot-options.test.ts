import { describe, expect, test } from '@jest/globals';
import { effectiveOptions, optionsOfNode, type EffectiveOptions } from '../../../../conductor/drivers/snapshot/snapshot-options.ts';
import { snapshotOptionsSchema } from '../../../../protocol/capture.ts';
import { InvalidParameterError } from '../../../../protocol/errors.ts';

const DEFAULTS: EffectiveOptions = { snapshot_method: 'auto', full: false, on_read_error: 'fail', compression: 'auto', intermediate_storage: 'auto' };

test('the request goes over the node, the node over the configuration', () => {
  const node = { snapshot_method: 'mount', snapshot_compression: 'zstd', snapshot_full: 'true', snapshot_max_downtime: '1.5h', redfish_address: 'https://bmc', snapshot_intermediate_storage: null };
  expect(effectiveOptions({}, {}, { ...DEFAULTS, max_downtime: 60 })).toEqual({ ...DEFAULTS, max_downtime: 60 });
  expect(effectiveOptions({}, node, { ...DEFAULTS, max_downtime: 60 })).toEqual({ ...DEFAULTS, snapshot_method: 'mount', compression: 'zstd', full: true, max_downtime: 5_400 });
  expect(effectiveOptions({ snapshot_method: 'stream', full: false, max_downtime: 30 }, node, DEFAULTS)).toEqual({ ...DEFAULTS, snapshot_method: 'stream', compression: 'zstd', full: false, max_downtime: 30 });
});

test('a node says more than a request may: a disk that is part of more', () => {
  expect(optionsOfNode({ snapshot_allow_partial: true })).toEqual({ allowPartial: true });
  expect(optionsOfNode({ snapshot_allow_partial: 'false' })).toEqual({ allowPartial: false });
  expect(optionsOfNode({})).toEqual({ allowPartial: false });
});

test.each([
  [{ snapshot_method: 'fast' }, /driver_info: snapshot_method: .*"mount"\|"stream"\|"auto"/],
  [{ snapshot_full: 'perhaps' }, /snapshot_full: expected true or false/],
  [{ snapshot_max_downtime: 'soon' }, /snapshot_max_downtime: expected seconds .*found "soon"/],
  [{ snapshot_metod: 'mount' }, /unknown snapshot_metod; expected snapshot_method, /],
])('what a node says wrongly is refused by name: %j', (driverInfo, reason) => {
  expect(() => optionsOfNode(driverInfo)).toThrow(reason);
  expect(() => optionsOfNode(driverInfo)).toThrow(InvalidParameterError);
});

describe('what only a stream can do', () => {
  test.each([{ compression: 'zstd' }, { intermediate_storage: 'relay' }, { on_read_error: 'zero' }] as const)('is refused in a request for the mount: %j', (option) => {
    expect(() => effectiveOptions({ snapshot_method: 'mount', ...option }, {}, DEFAULTS)).toThrow(/needs a stream/);
  });

  test('means nothing to the mount when it is set up for other captures; but bad sectors never pass unnoticed', () => {
    expect(effectiveOptions({ snapshot_method: 'mount' }, { snapshot_compression: 'zstd' }, { ...DEFAULTS, intermediate_storage: 'relay' })).toMatchObject({ snapshot_method: 'mount' });
    expect(() => effectiveOptions({ snapshot_method: 'mount' }, { snapshot_on_read_error: 'zero' }, DEFAULTS)).toThrow(/needs a stream/);
  });
});

test.each([
  [90, 90],
  ['90', 90],
  ['90s', 90],
  ['15m', 900],
  ['1.5h', 5_400],
  [400_000, 400_000],
])('a downtime of %j is %d s', (given, seconds) => {
  expect(snapshotOptionsSchema.parse({ max_downtime: given })).toEqual({ max_downtime: seconds });
});

test.each([0, -1, '', '0', '-5m', '5 m', '1d', '1e3', 'soon', 400_001, '112h', Infinity, null, true])('a downtime of %j is none', (given) => {
  expect(snapshotOptionsSchema.safeParse({ max_downtime: given }).success).toBe(false);
});

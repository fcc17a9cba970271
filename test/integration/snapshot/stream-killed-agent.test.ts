import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../rig/free-port.ts';
import { HeldStream } from '../../rig/held-stream.ts';
import { expectCleanFailure, expectSnapshotSucceeds } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { Rig } from '../../rig/rig.ts';
import { until } from '../../rig/until.ts';

describe('an agent that is killed in the middle of a stream fails the snapshot, and leaves nothing', () => {
  let stream: HeldStream | undefined;
  let rig: Rig | undefined;
  let node: string;
  beforeAll(async () => {
    const port = await freePort();
    stream = await HeldStream.to(port, 1);
    rig = await Rig.start({ contentShare: 0.02, config: { provisioning: { port, tls: 'none', advertise_url: stream.url } }, agent: { api_url: `http://127.0.0.1:${port}`, ca_file: undefined } });
    node = await rig.enrol();
  }, 120_000);
  afterAll(async () => {
    await rig?.close();
    await stream?.close();
  }, 60_000);

  test.each([
    [1, 'spool'],
    [1, 'relay'],
    [50, 'spool'],
    [50, 'relay'],
    [99, 'spool'],
    [99, 'relay'],
  ] as const)('after %d %% of the image (%s): it comes back and says that its command is lost', async (percent, storage) => {
    const [{ api, conductor }, held] = [rig!, stream!];
    const holder = await rig!.createHolder();
    held.passes(percent / 100);
    await api.demand(node, 'snapshot', { image_ref: holder, compression: 'none', intermediate_storage: storage });
    await until(`the conductor has ${percent} % of the image`, () => held.heldStreams === 1, 60_000);
    process.kill((await processOf('node', 'ramdisk-agent/main.js')).pid, 'SIGKILL');
    held.drop(); // as its kernel does
    const statuses = new Set<string>();
    await until('the snapshot has failed', async () => {
      statuses.add((await rig!.image(holder)).status);
      return (await api.node(node)).provision_state === 'snapshot failed';
    }, 60_000);
    expect([...statuses].filter((status) => status !== 'queued' && status !== 'saving')).toEqual([]);
    await expectCleanFailure(rig!, node, holder, /restarted/);
    expect(await rig!.image(holder)).toMatchObject({ size: null, os_hash_value: null });
    expect((await readdir(join(conductor.directory, 'state/images'), { recursive: true })).filter((name) => name.includes(holder))).toEqual([`images/${holder}.json`]);
  }, 120_000);

  test('and the next snapshot succeeds', async () => {
    stream!.passes(1);
    await expectSnapshotSucceeds(rig!, node);
    expect((await rig!.api.node(node)).driver_internal_info.snapshot?.report).toMatchObject({ method: 'stream' });
  }, 120_000);
});

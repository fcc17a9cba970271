import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { IMAGE_SIZE_HEADER } from '../../../protocol/image-stream.ts';
import { expectCleanFailure, expectServerAsBefore } from '../../rig/outcome.ts';
import { processOf } from '../../rig/processes.ts';
import { freePort } from '../../rig/free-port.ts';
import { Rig, type RigOptions } from '../../rig/rig.ts';
import { until } from '../../rig/until.ts';

const MIB = 1024 ** 2;
/** Slow enough to be met in the middle of an image of some 20 MiB. */
const SLOW = { max_bandwidth_per_snapshot_bytes_s: 4 * MIB };

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.close();
  rig = undefined;
}, 60_000);

interface Begun {
  rig: Rig;
  node: string;
  holder: string;
  demand: (options?: Record<string, unknown>) => Promise<void>;
}

async function begin(options: RigOptions = {}): Promise<Begun> {
  rig = await Rig.start({ contentShare: 0.05, ...options });
  const begun = rig;
  const node = await begun.enrol();
  const holder = await begun.createHolder();
  return { rig: begun, node, holder, demand: (wish = {}) => begun.api.demand(node, 'snapshot', { image_ref: holder, compression: 'none', ...wish }) };
}

const untilStreamed = ({ rig, node }: Begun, part: number): Promise<unknown> =>
  until(
    `${100 * part} % of the image are sent`,
    async () => {
      const { step, bytes_done: done, bytes_total: total } = (await rig.api.node(node)).driver_internal_info.snapshot!;
      return step === 'streaming' && done !== null && total !== null && done > part * total;
    },
    60_000,
  );

describe('a stream that can not succeed ends in snapshot failed, and the server runs as before', () => {
  test('the machine loses power in the middle', async () => {
    const begun = await begin({ config: { snapshot: { ...SLOW, stall_timeout_s: 3 }, conductor: { agent_timeout_s: 1 } } });
    const { rig, node, holder, demand } = begun;
    await demand({ intermediate_storage: 'relay' });
    await untilStreamed(begun, 0.3);
    await rig.machine().reset('ForceOff');
    await expectCleanFailure(rig, node, holder, /stalled/);
  }, 120_000);

  test('the image is larger than its quota: the mount would not help, and is not tried', async () => {
    const { rig, node, holder, demand } = await begin({ config: { snapshot: { max_image_bytes: 8 * MIB } } });
    await demand();
    await expectCleanFailure(rig, node, holder, /507.*The share says: .*quota/i);
  }, 120_000);

  test('the image is deleted while it is relayed', async () => {
    const begun = await begin({ config: { snapshot: { ...SLOW, stream_attempts: 1 } } });
    const { rig, node, holder, demand } = begun;
    await demand({ intermediate_storage: 'relay' });
    await untilStreamed(begun, 0.3);
    await rig.deleteImage(holder);
    const failed = await rig.api.settled(node, 'snapshot failed');
    expect(failed.last_error).toMatch(/image|deleted|404/i);
    await expectServerAsBefore(rig);
  }, 120_000);
});

describe('a downtime that can not be kept ends the capture, and the server runs as before', () => {
  test('as soon as the agent has predicted it', async () => {
    const { rig, node, holder, demand } = await begin({ contentShare: 0.2, config: { snapshot: { max_bandwidth_per_snapshot_bytes_s: MIB } } }); // some 80 MiB, without zeros
    await demand({ max_downtime: '1m' });
    const failed = await expectCleanFailure(rig, node, holder, /would be down for [\d.]+ s: max_downtime allows 60 s, .* the agent predicted [\d.]+ s for an image of \d+ bytes/);
    const { prediction, options, downtime_s: downtimeS } = failed.driver_internal_info.snapshot!;
    expect(options).toMatchObject({ max_downtime: 60 });
    expect(prediction?.duration_s).toBeGreaterThan(0);
    expect(downtimeS).toBeGreaterThan(0);
  }, 120_000);

  test('when its time is over while nothing is predicted, or no ramdisk comes', async () => {
    const { rig, node, holder, demand } = await begin();
    await demand({ snapshot_method: 'mount', max_downtime: 30 });
    process.kill((await processOf('qemu-img', 'convert')).pid, 'SIGSTOP');
    await expectCleanFailure(rig, node, holder, /was down for [\d.]+ s and its capture had not ended: max_downtime allows 30 s/);
    rig.machine().setFaults({ pxe_hangs: true });
    await demand({ max_downtime: 2 });
    await expectCleanFailure(rig, node, holder, /max_downtime allows 2 s/);
  }, 120_000);
});

describe('a conductor that is killed in the middle of a stream', () => {
  test.each(['spool', 'relay'] as const)('takes it again from its begin, on the same way (%s)', async (storage) => {
    const begun = await begin({ config: { snapshot: SLOW } });
    const { rig, node, holder, demand } = begun;
    await demand({ intermediate_storage: storage });
    await untilStreamed(begun, 0.3);
    await rig.conductor.process.kill();
    await rig.conductor.restart();
    const view = (await rig.api.settled(node, 'active', 90_000)).driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', boot_back: 'done', report: { method: 'stream' } });
    expect(view?.report?.attempts).toBeGreaterThan(1);
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: view?.os_hash_value });
    expect(rig.conductor.process.lines.some((line) => line.msg === 'the image goes straight to the image service')).toBe(storage === 'relay');
    await expectServerAsBefore(rig);
  }, 180_000);
});

describe('behind a proxy that no stream comes through', () => {
  let proxy: Server | undefined;
  afterEach(async () => {
    proxy?.closeAllConnections();
    await new Promise((resolve) => (proxy ? proxy.close(resolve) : resolve(null)));
    proxy = undefined;
  });

  /** In front of the provisioning listener: what it does with requests that announce an image. */
  async function beginBehind(treat: (request: IncomingMessage) => 'refuse' | 'drop trailers'): Promise<Begun> {
    const port = await freePort();
    const pass = (request: IncomingMessage, response: ServerResponse): void => {
      const isImage = request.headers[IMAGE_SIZE_HEADER.toLowerCase()] !== undefined;
      if (isImage && treat(request) === 'refuse') {
        response.writeHead(411, { Connection: 'close' }).end('a length is required');
        return;
      }
      if (request.headers.expect !== undefined) response.writeContinue();
      const onward = httpRequest({ host: '127.0.0.1', port, method: request.method, path: request.url, headers: request.headers, agent: false }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.pipe(onward); // and trailers are not passed on
    };
    proxy = createServer(pass).on('checkContinue', pass); // it refuses before it asks for the data, as proxies do
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    return begin({ config: { provisioning: { port, tls: 'none', advertise_url: url } }, agent: { api_url: `http://127.0.0.1:${port}`, ca_file: undefined } });
  }

  test.each([
    ['because it wants lengths', 'refuse', /411/],
    ['because it takes the trailer away', 'drop trailers', /400.*without its authentication code/],
  ] as const)('%s: "auto" falls back to the mount and says why, "stream" fails', async (_, treatment, reason) => {
    const { rig, node, holder, demand } = await beginBehind(() => treatment);
    await demand();
    const view = (await rig.api.settled(node, 'active', 120_000)).driver_internal_info.snapshot;
    expect(view).toMatchObject({ status: 'done', options: { snapshot_method: 'auto' }, report: { method: 'mount', fallback_reason: expect.stringMatching(reason) } });
    expect(await rig.image(holder)).toMatchObject({ status: 'active', os_hash_value: view?.os_hash_value });
    await expectServerAsBefore(rig);

    const other = await rig.createHolder();
    await rig.api.demand(node, 'snapshot', { image_ref: other, snapshot_method: 'stream' });
    await expectCleanFailure(rig, node, other, reason);
  }, 240_000);
});

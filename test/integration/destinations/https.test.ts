/** `https:` destinations on a real server with a certificate of its own. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createDestinations, type DestinationsOptions } from '../../../conductor/images/destinations/destinations.ts';
import { PutServer } from '../../rig/put-server.ts';
import { DATA, keepsItsPromises, nameOf, pieces, signal, TIMES, WHOLE, type Stage } from './contract.ts';
import { dataOf } from '../../rig/image-data.ts';

const MIB = 1024 ** 2;
const optionsFor = (server: PutServer, more: Partial<DestinationsOptions['https'][number]> = {}): DestinationsOptions => ({
  fileRoots: [],
  https: [{ prefix: `https://127.0.0.1:${server.port}/images`, ca: server.certificate, authorization: () => Promise.resolve(server.authorization), ...more }],
  times: TIMES,
});

describe('a server', () =>
  keepsItsPromises(async (): Promise<Stage> => {
    const server = await PutServer.start();
    server.keepsHalves = true; // so that "nothing is left" is our doing
    return {
      options: optionsFor(server),
      ref: `https://127.0.0.1:${server.port}/images/rack-1/web-1.qcow2`,
      contents: () => Promise.resolve(Object.fromEntries([...server.stored].map(([path, data]) => [nameOf(path), data]))),
      close: () => server.close(),
    };
  }, { showsHalves: true }));

describe('beyond that,', () => {
  let server: PutServer;
  let ref: string;
  let images: ReturnType<typeof createDestinations>['images'];
  beforeEach(async () => {
    server = await PutServer.start();
    ref = `https://127.0.0.1:${server.port}/images/web-1.qcow2`;
    images = createDestinations(optionsFor(server)).images;
  });
  afterEach(() => server.close());
  const upload = (service = images): Promise<void> => service.upload(ref, dataOf(pieces()), DATA.length, { signal });

  test.each([
    ['beside the prefix', '/other/web-1.qcow2'],
    ['whose path only begins like the prefix', '/images-of-others/web-1.qcow2'],
  ])('a URL %s is refused, and nobody is asked', async (_what, path) => {
    await expect(images.show(`https://127.0.0.1:${server.port}${path}`)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/below no prefix of snapshot\.https_destinations/) });
    expect(server.seen).toEqual([]);
  });

  test('a host whose name only begins like the prefix is refused', async () => {
    const { images: others } = createDestinations({ ...optionsFor(server), https: [{ prefix: 'https://store.example', authorization: () => Promise.resolve('secret') }] });
    await expect(others.show('https://store.example.evil.example/web-1.qcow2')).rejects.toMatchObject({ httpStatus: 400 });
  });

  test('data that the server has changed are found by reading them back, and removed', async () => {
    server.damages = true;
    await upload();
    await expect(images.verify(ref, WHOLE)).rejects.toThrow(/os_hash_value/);
    expect([...server.stored]).toEqual([]);
  });

  test('a server that lets nothing be read has to state the digest', async () => {
    server.refusesReading = true;
    await upload();
    await expect(images.verify(ref, WHOLE)).rejects.toThrow(/neither lets it be read back nor states its sha-512 in Repr-Digest/);
    server.statesDigest = true;
    await images.verify(ref, WHOLE);
    await expect(createDestinations(optionsFor(server)).images.verify(ref, { ...WHOLE, osHashValue: 'f'.repeat(128) })).rejects.toThrow(/os_hash_value/);
  });

  test('redirects are not followed, neither of questions nor of data', async () => {
    const elsewhere = await PutServer.start();
    try {
      server.intercept = ({ method, url }, response) => {
        if (method !== 'PUT') return false;
        response.writeHead(307, { Location: `https://127.0.0.1:${elsewhere.port}${url}` }).end();
        return true;
      };
      await expect(upload()).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/a redirect, which is not followed/) });
      server.intercept = (_request, response) => {
        response.writeHead(301, { Location: `https://127.0.0.1:${elsewhere.port}/` }).end();
        return true;
      };
      await expect(images.show(ref)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringMatching(/HEAD with HTTP 301, a redirect/) });
      expect(elsewhere.seen).toEqual([]);
    } finally {
      await elsewhere.close();
    }
  });

  test('an answer that is lost after all data came is no failure', async () => {
    server.intercept = (request, response) => {
      if (request.method !== 'PUT') return false;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
        server.stored.set(request.url ?? '', Buffer.concat(chunks));
        response.destroy();
      });
      return true;
    };
    await upload();
    await images.verify(ref, WHOLE);
  });

  test.each([
    [503, true, /HTTP 503/],
    [403, false, /check the credentials/],
    [413, false, /HTTP 413/],
  ])('HTTP %i to the data: worth another try: %s', async (status, retryable, message) => {
    server.intercept = ({ method }, response) => {
      if (method !== 'PUT') return false;
      response.writeHead(status).end();
      return true;
    };
    await expect(upload()).rejects.toMatchObject({ data: expect.objectContaining({ retryable }), message: expect.stringMatching(message) });
    expect([...server.stored]).toEqual([]);
  });

  test('a server that takes no more bytes is given up', async () => {
    server.intercept = ({ method }) => method === 'PUT'; // never read, never answered
    const large = 256 * MIB;
    async function* endless(): AsyncGenerator<Buffer> {
      for (let sent = 0; sent < large; sent += MIB) yield Promise.resolve(DATA.subarray(0, MIB));
    }
    await expect(images.upload(ref, dataOf(endless()), large, { signal })).rejects.toThrow(/has accepted no data for 3 s/);
  }, 30_000);

  test('a server that is not the one that is trusted is sent nothing', async () => {
    const { images: strangers } = createDestinations(optionsFor(server, { ca: undefined }));
    await expect(strangers.show(ref)).rejects.toMatchObject({ httpStatus: 503, message: expect.stringMatching(/certificate/) });
    await expect(upload(strangers)).rejects.toThrow(/certificate/);
    expect(server.seen).toEqual([]);
  });

  test('wrong credentials are told before the upload, without them', async () => {
    const { images: strangers } = createDestinations(optionsFor(server, { authorization: () => Promise.resolve('Bearer tell-nobody') }));
    const refusal = await strangers.show(ref).catch((error: Error) => error.message);
    expect(refusal).toMatch(/HEAD with HTTP 401/);
    expect(refusal).not.toContain('tell-nobody');
  });
});

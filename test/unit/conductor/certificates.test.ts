import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { generate } from 'selfsigned';
import { ensureCertificate, type ServerCertificate } from '../../../conductor/certificates.ts';

const HOSTS = ['127.0.0.1', '::1', 'localhost', 'Conductor.example'];
const DAY_MS = 24 * 3600 * 1_000;

let directory: string;
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'metalshot-certificates-')), 'state', 'certificates');
});
afterEach(() => rm(join(directory, '..', '..'), { recursive: true }));

/** What a client gets that trusts `ca` and calls the server by `host`. */
async function call(pair: ServerCertificate, ca: string, host: string): Promise<string> {
  const server = createServer(pair, (_, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    return await new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', servername: /^[\d.:]+$/.test(host) ? '' : host, port, ca, agent: false, headers: { host }, timeout: 5_000 }, (response) => response.setEncoding('utf8').on('data', resolve)).on('error', reject);
    });
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
}

/** Puts a certificate there as if it had been made some time ago. */
async function keep(validForDays: number, hosts: { type: 2; value: string }[] = [{ type: 2, value: 'localhost' }]): Promise<ServerCertificate> {
  await ensureCertificate(directory, 'api', ['localhost']);
  const made = await generate([{ name: 'commonName', value: 'old' }], { keyType: 'ec', algorithm: 'sha256', notBeforeDate: new Date(Date.now() - 2 * DAY_MS), notAfterDate: new Date(Date.now() + validForDays * DAY_MS), extensions: [{ name: 'subjectAltName', altNames: hosts }] });
  await writeFile(join(directory, 'api.key'), made.private);
  await writeFile(join(directory, 'api.crt'), made.cert);
  return { key: made.private, cert: made.cert };
}

describe('the certificate of a listener', () => {
  test('is good for all its names and addresses, with the names checked', async () => {
    const pair = await ensureCertificate(directory, 'api', HOSTS);
    for (const host of ['127.0.0.1', 'localhost', 'conductor.example']) expect(await call(pair, pair.cert, host)).toBe('hello');
    await expect(call(pair, pair.cert, 'elsewhere.example')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const certificate = new X509Certificate(pair.cert);
    expect(certificate.checkIP('::1')).toBe('::1');
    expect(certificate.ca).toBe(false);
    expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now() - DAY_MS);
  });

  test('is trusted by those only who have it', async () => {
    const pair = await ensureCertificate(directory, 'api', ['127.0.0.1']);
    const other = await ensureCertificate(directory, 'provisioning', ['127.0.0.1']);
    await expect(call(pair, other.cert, '127.0.0.1')).rejects.toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY|SIGNATURE/) });
  });

  test('keeps its key to its owner and leaves no drafts', async () => {
    await ensureCertificate(directory, 'api', HOSTS);
    expect((await stat(join(directory, 'api.key'))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await readdir(directory)).sort()).toEqual(['api.crt', 'api.key']);
    expect(await readFile(join(directory, 'api.key'), 'utf8')).toContain('PRIVATE KEY');
  });

  test('is used again while it is good, whatever the order of the hosts', async () => {
    const made = await ensureCertificate(directory, 'api', HOSTS);
    expect(await ensureCertificate(directory, 'api', [...HOSTS].reverse())).toEqual(made);
    expect(await ensureCertificate(directory, 'api', ['127.0.0.1', '[::1]', 'localhost', 'conductor.example', 'localhost'])).toEqual(made);
    const kept = await keep(31);
    expect(await ensureCertificate(directory, 'api', ['localhost'])).toEqual(kept);
  });

  test.each([
    ['a host comes', [...HOSTS, '192.0.2.7']],
    ['a host goes', HOSTS.slice(1)],
  ])('is made anew when %s', async (_, hosts) => {
    const made = await ensureCertificate(directory, 'api', HOSTS);
    const renewed = await ensureCertificate(directory, 'api', hosts);
    expect(renewed.cert).not.toBe(made.cert);
    expect(await ensureCertificate(directory, 'api', hosts)).toEqual(renewed);
  });

  test.each([29, -1])('is made anew when it is valid for %d more days', async (days) => {
    const kept = await keep(days);
    const renewed = await ensureCertificate(directory, 'api', ['localhost']);
    expect(renewed.cert).not.toBe(kept.cert);
    expect(Date.parse(new X509Certificate(renewed.cert).validTo)).toBeGreaterThan(Date.now() + 365 * DAY_MS);
  });

  test.each(['api.key', 'api.crt'])('is made anew when %s is damaged, missing or of another pair', async (file) => {
    const pairs = [await ensureCertificate(directory, 'api', ['localhost'])];
    const other = await ensureCertificate(directory, 'other', ['localhost']);
    for (const spoil of [() => writeFile(join(directory, file), 'rubbish'), () => rm(join(directory, file)), () => writeFile(join(directory, file), file.endsWith('key') ? other.key : other.cert)]) {
      await spoil();
      const renewed = await ensureCertificate(directory, 'api', ['localhost']);
      expect(pairs.map((pair) => pair.cert)).not.toContain(renewed.cert);
      expect(await call(renewed, renewed.cert, 'localhost')).toBe('hello');
      pairs.push(renewed);
    }
  });

  test('needs a host', async () => {
    await expect(ensureCertificate(directory, 'api', [])).rejects.toMatchObject({ code: 'InvalidParameterValue' });
  });
});

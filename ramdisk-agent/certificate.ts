import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { generate } from 'selfsigned';
import type { RunDirectory } from './run-directory.ts';

export interface Certificate {
  key: string;
  /** PEM; the conductor gets it with the heartbeat and pins it. */
  certificate: string;
}

const KEY_FILE = 'agent.key';
const CERTIFICATE_FILE = 'agent.crt';
const VALID_DAYS = 90;
/** The clock of a machine that boots may be wrong: a certificate of the future would be refused. */
const BACKDATED_DAYS = 30;
const DAY_MS = 86_400_000;
/** GeneralName choices of X.509 (RFC 5280). */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** The agent's own certificate for this host: the stored one as long as it is good for it, because the conductor has pinned it. */
export async function provideCertificate(runDirectory: RunDirectory, host: string): Promise<Certificate> {
  const [key, certificate] = [runDirectory.read(KEY_FILE), runDirectory.read(CERTIFICATE_FILE)];
  if (key !== null && certificate !== null && isGoodFor(certificate, host)) return { key, certificate };
  const made = await makeCertificate(host);
  runDirectory.write(KEY_FILE, made.key);
  runDirectory.write(CERTIFICATE_FILE, made.certificate);
  return made;
}

async function makeCertificate(host: string): Promise<Certificate> {
  const now = Date.now();
  const pems = await generate([{ name: 'commonName', value: 'metalshot-ramdisk-agent' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BACKDATED_DAYS * DAY_MS),
    notAfterDate: new Date(now + VALID_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [isIP(host) ? { type: IP_ADDRESS, ip: host } : { type: DNS_NAME, value: host }] },
    ],
  });
  return { key: pems.private, certificate: pems.cert };
}

function isGoodFor(certificate: string, host: string): boolean {
  const parsed = new X509Certificate(certificate);
  const named = isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host);
  return named !== undefined && Date.parse(parsed.validTo) > Date.now();
}

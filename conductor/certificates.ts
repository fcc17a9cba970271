import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { InvalidParameterError } from '../protocol/errors.ts';

export interface ServerCertificate {
  /** PEM, PKCS #8. */
  key: string;
  /** PEM; self-signed, so it is also what a client pins. */
  cert: string;
}

const DAY_MS = 24 * 3600 * 1_000;
const VALID_DAYS = 730;
const RENEW_DAYS = 30;
/** Machines boot with clocks that are slow. */
const BACKDATED_DAYS = 2;

/**
 * The self-signed certificate of a listener, for all host names and addresses by which clients reach it. Kept as
 * `<directory>/<name>.key` (mode 0600) and `.crt`; used again while it is valid for more than 30 days and says the same hosts.
 * @throws InvalidParameterError when no host is given; the file system's error when the directory cannot be written.
 */
export async function ensureCertificate(directory: string, name: string, hosts: readonly string[]): Promise<ServerCertificate> {
  const wanted = [...new Set(hosts.map((host) => host.replace(/^\[|\]$/g, '').toLowerCase()))].sort();
  if (wanted.length === 0) throw new InvalidParameterError(`A certificate needs at least one host name or address; none was given for ${name}`);
  const keyFile = join(directory, `${name}.key`);
  const certFile = join(directory, `${name}.crt`);
  const kept = await readKept(keyFile, certFile);
  if (kept && isUsable(kept, wanted)) return kept;

  const made = await make(wanted);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await replaceFile(keyFile, made.key, 0o600);
  await replaceFile(certFile, made.cert, 0o644);
  return made;
}

async function readKept(keyFile: string, certFile: string): Promise<ServerCertificate | null> {
  try {
    return { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function isUsable({ key, cert }: ServerCertificate, wanted: readonly string[]): boolean {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key))) return false;
  } catch {
    return false; // damaged files are replaced like missing ones
  }
  const now = Date.now();
  const current = Date.parse(certificate.validFrom) <= now && Date.parse(certificate.validTo) > now + RENEW_DAYS * DAY_MS;
  const named = (certificate.subjectAltName ?? '').split(', ').length;
  const covered = wanted.every((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host, { subject: 'never' })) !== undefined);
  return current && covered && named === wanted.length;
}

/**
 * No authority, so it vouches for nobody else. Clients trust it as it is: OpenSSL (Node, curl, Debian's davfs2 by its
 * `trust_ca_cert`) and GnuTLS (wget) take a certificate in their trust store as proof of itself.
 */
async function make(hosts: readonly string[]): Promise<ServerCertificate> {
  const now = Date.now();
  const made = await generate([{ name: 'commonName', value: 'metalshot' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BACKDATED_DAYS * DAY_MS),
    notAfterDate: new Date(now + VALID_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })) },
    ],
  });
  return { key: made.private, cert: made.cert };
}

/** Readers see the old content or the new one, never half of it. */
async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, content, { mode, flag: 'wx' });
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

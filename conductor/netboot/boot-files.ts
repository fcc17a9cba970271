import { access } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { InvalidParameterError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { RamdiskConfig } from '../../protocol/ramdisk-boot.ts';
import type { BootFiles, BootMachine } from '../drivers/boot-files.ts';
import { BOOT_LOADERS, createBootRequests } from './boot-requests.ts';
import { createConductorArchive } from './conductor-archive.ts';
import { IsoFiles } from './iso-files.ts';
import { RamdiskImages } from './ramdisk-images.ts';
import { composeScriptCommandLine, type BootLedger } from './script-of-machine.ts';
import { hasSecureBoot } from './secure-boot.ts';

export interface BootFilesOptions {
  /** What `npm run ramdisk` has made. */
  ramdiskDirectory: string;
  /** For ISOs; made when it is not there. */
  isoDirectory: string;
  /** Of the listener of boot files, as machines reach it. */
  baseUrl: string;
  /** The same as BMCs reach it. */
  isoBaseUrl: string;
  /** Where a ramdisk finds the conductor. */
  apiUrl: string;
  /** PEM that the ramdisk checks the conductor's certificate against; undefined: plain http. */
  certificate: string | undefined;
  ramdisk: RamdiskConfig;
  kernelParameters: string;
  ledger: BootLedger;
  log: Logger;
}

export interface ServedBootFiles extends BootFiles {
  handler: RequestListener;
  /** The ISOs alone, for a listener with https; mounted at `/iso`. */
  isoHandler: RequestListener;
  /** Removes what a conductor before this one left, except of the nodes with these UUIDs. Before any ISO is made. */
  removeOrphans(expected: Iterable<string>): Promise<void>;
  close(): Promise<void>;
}

const NONCE_LENGTH = 43;
/** Addresses at which one listens and nobody can be reached. */
const UNREACHABLE = ['0.0.0.0', '[::]'];

/** Everything that machines boot the ramdisk from: what drivers ask of it, and what it answers machines and BMCs. */
export function createBootFiles(options: BootFilesOptions): ServedBootFiles {
  const { ramdiskDirectory, baseUrl, apiUrl, kernelParameters, ledger, log } = options;
  const images = new RamdiskImages(ramdiskDirectory, log);
  const archive = createConductorArchive(options.ramdisk, options.certificate);
  const isos = new IsoFiles({ directory: options.isoDirectory, images, ramdiskDirectory, archive, baseUrl: options.isoBaseUrl, apiUrl, kernelParameters, log });
  return {
    handler: createBootRequests({ images, directory: ramdiskDirectory, archive, isos: isos.handler, ledger, ramdiskKey: () => images.currentKey(), baseUrl, apiUrl, kernelParameters, log }),
    isoHandler: isos.handler,

    async check(medium) {
      checkReachable('boot', medium === 'iso' ? options.isoBaseUrl : baseUrl);
      checkReachable('provisioning', apiUrl);
      if (medium === 'iso') return isos.check();
      for (const name of BOOT_LOADERS) await checkLoader(join(ramdiskDirectory, name));
      await images.currentKey();
    },

    async checkMachine(machine, medium) {
      if (medium === 'iso') return isos.checkMachine(machine);
      requireNoSecureBoot(machine);
      for (const { address } of machine.ports) composeScriptCommandLine(address, machine, { apiUrl, nonce: 'x'.repeat(NONCE_LENGTH), kernelParameters });
    },

    provideIso: (machine, nonce, signal) => isos.provideIso(machine, nonce, signal),
    isIso: (url) => isos.isIso(url),
    removeIso: (nodeUuid) => isos.removeIso(nodeUuid),
    removeOrphans: (expected) => isos.removeOrphans(expected),
    close: () => images.close(),
  };
}

function checkReachable(section: string, url: string): void {
  if (UNREACHABLE.includes(new URL(url).hostname)) throw new InvalidParameterError(`${section}.advertise_url: required where ${section}.host is every address of this machine (${new URL(url).hostname}): the URL by which machines reach it`);
}

async function checkLoader(path: string): Promise<void> {
  await access(path).catch((error: unknown) => {
    throw new InvalidParameterError(`boot.ramdisk_directory: ${messageOf(error)}: build the ramdisk with "npm run ramdisk", or name the directory in which it is`, {}, error);
  });
}

function requireNoSecureBoot({ node }: BootMachine): void {
  if (!hasSecureBoot(node)) return;
  throw new InvalidParameterError(`Node ${node.uuid} has the capability secure_boot, and its firmware would not start iPXE, which is not signed. Use the boot interface redfish-virtual-media, or switch Secure Boot off in the machine's firmware and take the capability away.`);
}

import type { BootDriver } from '../interfaces.ts';

/** For machines that get their ramdisk by means of their own (simulated ones, or a network that boots them already): nothing to prepare. */
export function createFakeBoot(): BootDriver {
  return {
    name: 'fake',
    properties: {},
    async validate() {},
    ramdiskDevice: 'pxe',
    async prepareRamdisk({ log }) {
      log.debug('the boot interface "fake" prepares nothing');
      return { ramdiskBoot: null, bootNonceHash: null };
    },
    async cleanUpRamdisk() {},
  };
}

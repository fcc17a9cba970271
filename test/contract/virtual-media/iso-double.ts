import type { BootFiles } from '../../../conductor/drivers/boot-files.ts';

/** ISOs that are a URL only, for BMCs that do not read them; `made` and `removed` tell for which nodes. */
export class IsoDouble implements BootFiles {
  readonly made: string[] = [];
  readonly removed: string[] = [];
  readonly nonces: string[] = [];

  async check(): Promise<void> {}
  async checkMachine(): Promise<void> {}
  async provideIso({ node }: Parameters<BootFiles['provideIso']>[0], nonce: string): Promise<string> {
    this.made.push(node.uuid);
    this.nonces.push(nonce);
    return isoUrl(this.made.length);
  }
  isIso(url: string): boolean {
    return /\/iso\/[0-9a-f]{32}\/ramdisk\.iso$/.test(url);
  }
  async removeIso(nodeUuid: string): Promise<void> {
    this.removed.push(nodeUuid);
  }
}

export const isoUrl = (number: number): string => `http://192.0.2.1:6387/iso/${number.toString(16).padStart(32, '0')}/ramdisk.iso`;

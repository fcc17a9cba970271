import { bootOrderSchema, type BootEntriesReport, type BootOrder } from '../../protocol/agent-api.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/log.ts';
import type { BootMemory } from '../boot-memory.ts';
import type { BootEntries } from './boot-entries.ts';
import type { Hardware } from './hardware.ts';

const FILE = 'boot-order.json';

/**
 * BootOrder and BootNext of the machine's firmware, as this boot found them: firmware, boot loaders and tools of the ramdisk
 * may change them, and the machine is to boot after a capture as it did before.
 */
export class BootOrderKeeper {
  readonly #entries: BootEntries;
  readonly #memory: BootMemory;
  readonly #log: Logger;
  #before: BootOrder;

  private constructor(entries: BootEntries, memory: BootMemory, log: Logger, before: BootOrder) {
    this.#entries = entries;
    this.#memory = memory;
    this.#log = log;
    this.#before = before;
  }

  /** Null where firmware has none, or does not tell: that is logged. */
  static async start(hardware: Pick<Hardware, 'bootEntries' | 'facts'>, memory: BootMemory, log: Logger): Promise<BootOrderKeeper | null> {
    const { bootEntries } = hardware;
    if (!bootEntries) return null;
    try {
      if ((await hardware.facts()).boot.current_boot_mode === 'bios') return null;
      const before = memory.read(FILE, bootOrderSchema) ?? (await bootEntries.readOrder());
      memory.write(FILE, before);
      log.info(before, 'boot order of the firmware');
      return new BootOrderKeeper(bootEntries, memory, log, before);
    } catch (error) {
      log.warn({ problem: messageOf(error) }, "the firmware's boot order cannot be read: it is not put back after a capture");
      return null;
    }
  }

  /** After a deployment: what it made is what is kept from now on. */
  async renew(): Promise<void> {
    try {
      this.#before = await this.#entries.readOrder();
      this.#memory.write(FILE, this.#before);
    } catch (error) {
      this.#log.warn({ problem: messageOf(error) }, "the firmware's boot order cannot be read after the deployment"); // the deployment is none the worse for it
    }
  }

  /** Puts back what differs. Never rejects: a capture is whole or not whatever the firmware does. */
  async restore(): Promise<BootEntriesReport> {
    const before = this.#before;
    const report: BootEntriesReport = { before, after: null, restored: [], problem: null };
    try {
      const after = await this.#entries.readOrder();
      report.after = after;
      if (before.boot_order?.join() !== after.boot_order?.join()) {
        await this.#entries.setBootOrder(before.boot_order);
        report.restored.push('BootOrder');
      }
      if (before.boot_next !== after.boot_next) {
        await this.#entries.setBootNext(before.boot_next);
        report.restored.push('BootNext');
      }
    } catch (error) {
      report.problem = messageOf(error);
    }
    if (report.problem !== null) this.#log.error(report, "the firmware's boot order is not as before");
    else if (report.restored.length > 0) this.#log.warn(report, "the firmware's boot order had changed and is as before again");
    return report;
  }
}

/** Runs a capture; whatever becomes of it, the boot order is as before then, and its result tells what there was to do. */
export async function keepingBootOrder<T extends object>(bootOrder: BootOrderKeeper | null, capture: () => Promise<T>): Promise<T & { boot_entries?: BootEntriesReport }> {
  const [outcome] = await Promise.allSettled([capture()]);
  const report = await bootOrder?.restore();
  if (outcome.status === 'rejected') throw outcome.reason;
  return report ? { ...outcome.value, boot_entries: report } : outcome.value;
}

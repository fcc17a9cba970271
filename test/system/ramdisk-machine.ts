import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createCpioArchive } from '../../protocol/cpio-archive.ts';
import { RAMDISK_CONFIG_PATH } from '../../protocol/ramdisk-boot.ts';
import { ramdiskFile } from '../rig/ramdisk-directory.ts';
import { STEP_TIMEOUT_MS } from '../rig/serial-console.ts';
import { until } from '../rig/until.ts';

const ALIGNMENT = 4;
const CONDUCTOR_FOR_THE_GUEST = '10.0.2.2';

export interface RamdiskMachineOptions {
  /** Of the conductor, on this machine's loopback. */
  conductorPort: number;
  nonce: string;
  /** What the small initramfs brings. */
  settings: Record<string, number>;
}

/**
 * A virtual machine that runs the real ramdisk, handed over by QEMU instead of a boot loader: whenever it is reset it boots
 * the ramdisk again. Its network is QEMU's own (no interface of this machine), its serial console has a shell.
 */
export class RamdiskMachine {
  readonly #qemu: ChildProcessWithoutNullStreams;
  readonly #directory: string;
  readonly #ended: Promise<unknown>;
  #text = '';

  private constructor(qemu: ChildProcessWithoutNullStreams, directory: string) {
    this.#qemu = qemu;
    this.#directory = directory;
    this.#ended = once(qemu, 'close').catch((error: unknown) => void (this.#text += String(error))); // not started: until() tells
    for (const stream of [qemu.stdout, qemu.stderr]) stream.setEncoding('latin1').on('data', (text: string) => (this.#text += text));
  }

  static async start({ conductorPort, nonce, settings }: RamdiskMachineOptions): Promise<RamdiskMachine> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-ramdisk-'));
    const initrd = join(directory, 'initrd');
    await writeInitrd(initrd, settings);
    const commandLine = `console=ttyS0 panic=10 metalshot-shell ipa-api-url=http://${CONDUCTOR_FOR_THE_GUEST}:${conductorPort} metalshot-boot-nonce=${nonce} BOOTIF=01-52-54-00-4d-54-07`;
    const hardware = ['-machine', 'pc,accel=tcg', '-m', '1024', '-device', 'i6300esb', '-action', 'watchdog=reset', '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,mac=52:54:00:4d:54:07,romfile='];
    const boot = ['-kernel', ramdiskFile('vmlinuz'), '-initrd', initrd, '-append', commandLine];
    return new RamdiskMachine(spawn('qemu-system-x86_64', ['-nodefaults', '-display', 'none', '-serial', 'stdio', ...hardware, ...boot]), directory);
  }

  /** What its serial console has shown since boot number `boot`, from 1 on, began. */
  text(boot: number): string {
    return this.#boots().slice(boot - 1).join('');
  }

  /** Waits until boot number `boot` or a later one has shown this. */
  async shows(pattern: RegExp, boot = 1): Promise<void> {
    await until(
      `boot ${boot} of the machine shows ${pattern}`,
      () => {
        if (this.#qemu.exitCode !== null) throw new Error(`QEMU has ended with ${this.#qemu.exitCode}: ${this.#text.slice(-4_000)}`);
        return pattern.test(this.text(boot));
      },
      STEP_TIMEOUT_MS,
      () => this.#text.slice(-4_000),
    );
  }

  /** Types a line into the shell. */
  type(line: string): void {
    this.#qemu.stdin.write(`${line}\n`);
  }

  async close(): Promise<void> {
    this.#qemu.kill('SIGKILL');
    await this.#ended;
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Each kernel begins by telling its version. */
  #boots(): string[] {
    return this.#text.split(/(?=Linux version \d)/).slice(1);
  }
}

/** QEMU takes one file; the kernel reads archives one after the other (its Documentation/driver-api/early-userspace/buffer-format.rst). */
async function writeInitrd(path: string, settings: Record<string, number>): Promise<void> {
  const base = ramdiskFile('initramfs');
  const small = createCpioArchive([
    { type: 'directory', path: 'etc' },
    { type: 'directory', path: 'etc/metalshot' },
    { type: 'file', path: RAMDISK_CONFIG_PATH.slice(1), content: JSON.stringify(settings) },
  ]);
  async function* both(): AsyncGenerator<Buffer> {
    let sizeBytes = 0;
    for await (const chunk of createReadStream(base) as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      yield chunk;
    }
    yield Buffer.alloc(-sizeBytes & (ALIGNMENT - 1));
    yield small;
  }
  await pipeline(both, createWriteStream(path));
}

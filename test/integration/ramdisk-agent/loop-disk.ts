import { randomBytes } from 'node:crypto';
import { mkdir, open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../../../protocol/program.ts';

const MIB = 1024 ** 2;
const TIMEOUT_MS = 60_000;

/** A disk of 4 GiB as a server has one: GPT with a BIOS boot partition, boot code, ext4 with a large file; a loop device over a sparse file. */
export class LoopDisk {
  readonly device: string;
  readonly imagePath: string;
  readonly sizeBytes = 4096 * MIB;

  private constructor(device: string, imagePath: string) {
    this.device = device;
    this.imagePath = imagePath;
  }

  static async create(directory: string, dataBytes: number): Promise<LoopDisk> {
    const image = join(directory, 'disk.img');
    await writeFile(image, '');
    await truncate(image, 4096 * MIB);
    const table = 'label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096\n';
    await runProgram('sfdisk', ['--quiet', image], { input: table, timeoutMs: TIMEOUT_MS });
    const content = join(directory, 'content');
    await mkdir(content);
    await writeFile(join(content, 'data.bin'), randomBytes(dataBytes));
    await runProgram('mkfs.ext4', ['-q', '-F', '-d', content, '-E', `offset=${4096 * 512}`, image, '4000M'], { timeoutMs: TIMEOUT_MS });
    await rm(content, { recursive: true });
    const file = await open(image, 'r+');
    await file.write(Buffer.from('eb63909090', 'hex'), 0, 5, 0); // a jump, as every boot record begins
    await file.close();
    return LoopDisk.attach(image);
  }

  /** Attaches any image file. */
  static async attach(imagePath: string): Promise<LoopDisk> {
    const { stdout } = await runProgram('losetup', ['--find', '--show', imagePath], { timeoutMs: TIMEOUT_MS });
    return new LoopDisk(stdout.trim(), imagePath);
  }

  async detach(): Promise<void> {
    await runProgram('losetup', ['--detach', this.device], { timeoutMs: TIMEOUT_MS });
  }
}

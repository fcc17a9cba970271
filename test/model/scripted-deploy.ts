import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { once } from 'node:events';
import type { CapturedDisk } from '../../protocol/agent-api.ts';
import { eraseMetadataParamsSchema, writeImageParamsSchema, type WriteImageParams } from '../../protocol/deploy-commands.ts';
import { decodeDiskStream } from '../../protocol/disk-stream.ts';
import { InvalidParameterError, OperationFailedError } from '../../protocol/errors.ts';
import type { Inventory } from '../../protocol/inventory.ts';
import type { Command, CommandContext, Extension } from '../../ramdisk-agent/commands/command.ts';
import { defineCommand } from '../../ramdisk-agent/commands/define-command.ts';

export interface DeployScript {
  /** Resolves when the script wants the running command to end. */
  cue(signal: AbortSignal): Promise<{ failure?: string; touched?: boolean }>;
  refuses(): boolean;
  disk: CapturedDisk;
}

/** What has come of commands: their parameters, and what was read from the conductor. */
export class DeployRecord {
  readonly commands: { name: string; params: Record<string, unknown> }[] = [];
  /** Of the disk as it would be, zeros and all. */
  writtenSha256: string | undefined;
  lastParams: WriteImageParams | undefined;
}

/** The commands of the extension `deploy`: they wait for a cue; the image is really read, from the conductor and with its credential, but written to no disk. */
export function scriptedDeploy(script: DeployScript, record: DeployRecord): Extension {
  const inventory: Inventory = {
    disks: [{ name: script.disk.name, model: script.disk.model, vendor: null, serial: script.disk.serial, wwn: script.disk.wwn, size: script.disk.size_bytes, sector_size: script.disk.sector_size_bytes, rotational: false, driver: 'ahci' }],
    interfaces: [{ name: 'eth0', mac_address: '52:54:00:00:00:01', driver: 'e1000e' }],
    cpu: { architecture: 'x86_64', count: 2, model_name: null },
    memory: { total: 2 ** 31 },
    system_vendor: { manufacturer: null, product_name: null, serial_number: null },
    boot: { current_boot_mode: 'bios' },
  };
  const wait = async ({ signal, rememberForFailure }: CommandContext): Promise<void> => {
    rememberForFailure({ disk_touched: false });
    const { failure, touched } = await script.cue(signal);
    if (touched) rememberForFailure({ disk_touched: true });
    if (failure !== undefined) throw new OperationFailedError(failure);
  };
  const write = defineCommand({
    paramsSchema: writeImageParamsSchema,
    secretParams: ['password'],
    async run(params, context) {
      context.report({ phase: 'preparing', bytes_done: 0, bytes_total: params.virtual_size_bytes, disk_touched: false });
      await wait(context);
      record.lastParams = params;
      const { sha512, sha256, dataBytes } = await readImage(params, context.signal);
      record.writtenSha256 = sha256;
      return { disk: script.disk, virtual_size_bytes: params.virtual_size_bytes, bytes_written: dataBytes, sha512, backup_gpt: 'none', boot_entry: 'not needed', generalized: null, inventory, duration_s: 0 } satisfies Record<string, unknown>;
    },
  });
  const erase = defineCommand({
    paramsSchema: eraseMetadataParamsSchema,
    secretParams: [],
    async run(_params, context) {
      await wait(context);
      return { disk: script.disk, wiped: ['gpt'], inventory, duration_s: 0 } satisfies Record<string, unknown>;
    },
  });
  const recorded = (name: string, command: Command): Command => ({
    prepare(params) {
      if (script.refuses()) throw new InvalidParameterError('this machine has no disk that may be written');
      const prepared = command.prepare(params);
      record.commands.push({ name, params: prepared.publicParams });
      return prepared;
    },
  });
  return { write_image: recorded('write_image', write), erase_devices_metadata: recorded('erase_devices_metadata', erase) };
}

async function readImage(params: WriteImageParams, signal: AbortSignal): Promise<{ sha512: string; sha256: string; dataBytes: number }> {
  const reply = await get(params, signal);
  if (reply.statusCode !== 200) throw new OperationFailedError(`the conductor answered ${reply.statusCode} to the request for the image`);
  const disk = Buffer.alloc(params.virtual_size_bytes);
  let sha512 = '';
  let dataBytes = 0;
  for await (const part of decodeDiskStream(reply as AsyncIterable<Buffer>)) {
    if (part.type === 'header') dataBytes = part.header.dataBytes;
    if (part.type === 'data') part.bytes.copy(disk, part.offsetBytes);
    if (part.type === 'end') ({ sha512 } = part);
  }
  return { sha512, sha256: createHash('sha256').update(disk).digest('hex'), dataBytes };
}

/** The status with which the conductor answers to these parameters now. */
export async function imageStatus(params: WriteImageParams): Promise<number | undefined> {
  const reply = await get(params, AbortSignal.timeout(30_000));
  reply.destroy();
  return reply.statusCode;
}

async function get({ url, username, password, ca }: WriteImageParams, signal: AbortSignal): Promise<IncomingMessage> {
  const sent = request(url, { auth: `${username}:${password}`, ca, signal, agent: false }).end();
  const [reply] = (await once(sent, 'response')) as [IncomingMessage];
  return reply;
}

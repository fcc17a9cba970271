import { z } from 'zod';
import type { SystemLogsResult } from '../../protocol/agent-api.ts';
import { OperationFailedError } from '../../protocol/errors.ts';
import type { Extension } from '../commands/command.ts';
import { defineCommand } from '../commands/define-command.ts';
import { collectInventory } from '../inventory.ts';
import { archiveLogs } from '../logs/log-archive.ts';
import type { ExtensionPorts } from './extension-ports.ts';

const INVENTORY_LIMIT_BYTES = 256 * 1024;
const ARCHIVE_LIMIT_BYTES = 2 * 1024 * 1024;

/** Ironic's extension of the same name. Runs beside other commands: a capture that hangs is when its log is wanted. */
export function createLogExtension(ports: ExtensionPorts): Extension {
  return {
    collect_system_logs: defineCommand({
      paramsSchema: z.strictObject({}),
      secretParams: [],
      aside: true,
      run: () => collectSystemLogs(ports),
    }),
  };
}

async function collectSystemLogs({ logs, devices, hardware }: ExtensionPorts): Promise<SystemLogsResult> {
  const inventory = { name: 'inventory.json', limitBytes: INVENTORY_LIMIT_BYTES, read: async () => `${JSON.stringify(await collectInventory(devices, hardware), null, 2)}\n` };
  const archive = await archiveLogs([...logs.sources, inventory], logs.secrets());
  if (archive.length > ARCHIVE_LIMIT_BYTES) throw new OperationFailedError(`the logs take ${archive.length} bytes, expected at most ${ARCHIVE_LIMIT_BYTES}`);
  return { system_logs: archive.toString('base64') };
}

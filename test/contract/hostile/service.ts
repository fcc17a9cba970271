import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite3 from 'sqlite3';
import { startConductor, type RunningConductor } from '../../../conductor/app.ts';
import { parseConfig } from '../../../conductor/config.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import { createLogger } from '../../../protocol/log.ts';
import { send, type HostileRequest } from './wire.ts';

const MINOR = 116;
const MAC_OF_VICTIM = '52:54:00:00:00:0a';

/**
 * A whole conductor (both listeners, real database, real workflow, fake hardware only: a made-up address reaches nobody), with
 * one of each resource that requests may do anything to, and a node that none of them names.
 */
export class ServiceUnderFire {
  readonly api: string;
  readonly provisioning: string;
  readonly #directory: string;
  readonly #conductor: RunningConductor;

  private constructor(directory: string, conductor: RunningConductor) {
    this.#directory = directory;
    this.#conductor = conductor;
    this.api = conductor.urls.api;
    this.provisioning = conductor.urls.provisioning;
  }

  static async start(): Promise<ServiceUnderFire> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-hostile-'));
    const config = parseConfig(
      {
        host: 'conductor-under-fire',
        state_directory: join(directory, 'state'),
        enabled_hardware_types: ['fake-hardware'],
        api: { port: 0 },
        provisioning: { port: 0, tls: 'none' },
        image_service: { embedded: { port: 0 } },
        conductor: { lock_attempts: 2, lock_retry_interval_s: 0.02, soft_power_off_timeout_s: 1, power_timeout_s: 2, power_sync_interval_s: 0, check_interval_s: 1 },
        snapshot: { spool_reserve_bytes: 1024 ** 2 },
        deploy: { image_reserve_bytes: 1024 ** 2, fetch_attempts: 1 },
      },
      'the test',
    );
    try {
      return new ServiceUnderFire(directory, await startConductor(config, createLogger('conductor', 'silent')));
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** A plain request that must be answered so. */
  async expect(status: number, method: string, path: string, body?: unknown, base = this.api): Promise<JsonObject> {
    const request: HostileRequest = { method, path, headers: { 'X-OpenStack-Ironic-API-Version': `1.${MINOR}` }, ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }) };
    const reply = await send(base, request);
    if (reply.status !== status) throw new Error(`${method} ${path}: expected ${status}, found ${reply.status} ${reply.text}`);
    return reply.text === '' ? {} : (JSON.parse(reply.text) as JsonObject);
  }

  /** Makes the targets of requests that are missing, by names and UUIDs that requests know. */
  async provideVictims(): Promise<void> {
    const make = async (path: string, identity: string, body: JsonObject): Promise<void> => {
      const found = await send(this.api, { method: 'GET', path: `${path}/${identity}`, headers: { 'X-OpenStack-Ironic-API-Version': `1.${MINOR}` } });
      if (found.status === 200) return;
      const made = await send(this.api, { method: 'POST', path, headers: { 'X-OpenStack-Ironic-API-Version': `1.${MINOR}` }, body: Buffer.from(JSON.stringify(body)) });
      // another one may have taken the name or the address: then that one is the victim
      if (made.status !== 201 && made.status !== 409) throw new Error(`POST ${path}: expected 201 or 409, found ${made.status} ${made.text}`);
    };
    for (const [index, uuid] of VICTIMS.nodes.entries()) await make('/v1/nodes', uuid, { uuid, name: `victim-${index}`, driver: 'fake-hardware' });
    const [node] = VICTIMS.nodes;
    await make('/v1/ports', VICTIMS.records, { uuid: VICTIMS.records, node_uuid: node, address: MAC_OF_VICTIM });
    await make('/v1/portgroups', VICTIMS.records, { uuid: VICTIMS.records, node_uuid: node, name: 'victim-group' });
  }

  /** `ok` when SQLite finds nothing wrong with the file. */
  integrity(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const db = new sqlite3.Database(join(this.#directory, 'state', 'metalshot.sqlite'), sqlite3.OPEN_READONLY, (failure) => {
        if (failure) reject(failure);
        else db.get('PRAGMA integrity_check', (error: Error | null, row: { integrity_check?: string } | undefined) => db.close(() => (error ? reject(error) : resolve(row?.integrity_check))));
      });
    });
  }

  async close(): Promise<void> {
    await this.#conductor.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** What generated requests name. */
export const VICTIMS = {
  nodes: ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222', '33333333-3333-4333-8333-333333333333'],
  names: ['victim-0', 'victim-1', 'victim-2', 'victim-group'],
  records: '44444444-4444-4444-8444-444444444444',
} as const;

import { randomUUID } from 'node:crypto';
import { openDatabase, type Database } from '../../../../conductor/db/database.ts';
import type { NewNode } from '../../../../conductor/db/node-store.ts';
import type { HistoryRow, NodeRow } from '../../../../conductor/db/rows.ts';
import { createFakeDeploy } from '../../../../conductor/drivers/deploy/fake.ts';
import { createHardwareRegistry, type HardwareRegistry, type HardwareServices } from '../../../../conductor/drivers/hardware.ts';
import { createFakeSnapshot } from '../../../../conductor/drivers/snapshot/fake.ts';
import { BackgroundWork } from '../../../../conductor/workflow/background-work.ts';
import type { DutyOptions, WorkflowParts } from '../../../../conductor/workflow/parts.ts';
import { RamdiskLogs } from '../../../../conductor/workflow/ramdisk-logs.ts';
import { createLogger } from '../../../../protocol/log.ts';
import { stepFrom } from '../../../../state-machine/provision-states.ts';
import type { EventType } from '../../../../state-machine/provision-machine.ts';
import { SimulatedRack } from '../../../../simulator/rack.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newNode } from '../db/node-of-tests.ts';

export const HOST = 'conductor-of-tests';
const REDFISH = { username: 'operator', password: 'correct horse' };
const UNUSED = ['share', 'images', 'agent'] as const;

/** What a duty works with: a real database, real drivers, and BMCs of simulated machines that answer over HTTP. No ramdisk, no image service. */
export class WorkflowStage {
  readonly db: Database;
  readonly rack: SimulatedRack;
  readonly parts: WorkflowParts;
  readonly #directory: string;
  readonly #hardware: HardwareRegistry;
  readonly #background: BackgroundWork;

  private constructor(directory: string, db: Database, rack: SimulatedRack, duties: Partial<DutyOptions>, services: Partial<HardwareServices>) {
    const log = createLogger('test', 'silent');
    this.#directory = directory;
    this.db = db;
    this.rack = rack;
    this.#background = new BackgroundWork(log);
    this.#hardware = createHardwareRegistry({
      enabled: ['redfish', 'fake-hardware'],
      services: { agentSnapshot: createFakeSnapshot(), directDeploy: createFakeDeploy(), redfish: { attempts: 1, firstPollMs: 5, maxPollMs: 20 }, ...services },
    });
    const used: Partial<WorkflowParts> = {
      host: HOST,
      db,
      hardware: this.#hardware,
      background: this.#background,
      log,
      callbackNetworks: [],
      ramdiskLogs: new RamdiskLogs({ collect: 'never', directory, kept: 1 }, { execute: () => failUnused('agent') }, log),
      times: { heartbeatTimeoutMs: 300_000, callbackTimeoutMs: 600_000, checkIntervalMs: 50, pollIntervalMs: 50, lockAttempts: 1, lockRetryIntervalMs: 50, bootBackRetryMs: 50, bootBackRetryMaxMs: 50, ramdiskLeaveMs: 30_000 },
      duties: { powerSyncIntervalMs: 60_000, powerSyncAttempts: 3, forcePowerState: false, conductorTimeoutMs: 60_000, ...duties },
      limits: { softPowerOffTimeoutMs: 2_000, powerTimeoutMs: 2_000, networkTimeoutMs: 2_000, captureTimeoutMs: 1, stallTimeoutMs: 1, uploadTimeoutMs: 1, uploadAttempts: 1, uploadRetryPauseMs: 1, requeueTimeoutMs: 1, maxImageBytes: 1, spoolReserveBytes: 1 },
    };
    this.parts = Object.defineProperties(used, Object.fromEntries(UNUSED.map((name) => [name, { get: () => failUnused(name) }]))) as WorkflowParts;
  }

  static async start(duties: Partial<DutyOptions> = {}, machines = 1, services: Partial<HardwareServices> = {}): Promise<WorkflowStage> {
    const directory = await mkdtemp(join(tmpdir(), 'metalshot-workflow-'));
    const db = await openDatabase({ path: ':memory:' });
    const rack = await SimulatedRack.start(
      {
        redfish: REDFISH,
        run_directory: join(directory, 'run'),
        machines: Array.from({ length: machines }, (_, index) => ({ id: `machine-${index}`, macs: [`52:54:00:00:00:0${index}`], disks: [], agent: { api_url: 'http://127.0.0.1:1' } })),
      },
      createLogger('simulator', 'silent'),
    );
    return new WorkflowStage(directory, db, rack, duties, services);
  }

  /** A node whose BMC is that of a simulated machine (off, at first). */
  machineNode(index = 0, more: Partial<NewNode> = {}): Promise<NodeRow> {
    return this.db.nodes.create(
      newNode({
        driver: 'redfish',
        interfaces: { ...newNode().interfaces, power: 'redfish', management: 'redfish', snapshot: 'agent', deploy: 'direct' },
        driverInfo: { redfish_address: this.rack.url, redfish_system_id: `/redfish/v1/Systems/machine-${index}`, redfish_username: REDFISH.username, redfish_password: REDFISH.password },
        provisionState: 'active',
        ...more,
      }),
    );
  }

  /** Takes a node through these events, as the workflow would store them; with `lock` it stays locked by that name. */
  async walk(node: NodeRow, events: readonly EventType[], lock?: string): Promise<NodeRow> {
    for (const type of events) {
      const current = await this.db.nodes.get(node.id);
      const step = stepFrom(current.provisionState, { type });
      if (!step) throw new Error(`no step from ${current.provisionState} by ${type}`);
      const snapshot = type === 'snapshot' ? { uuid: randomUUID(), requestedBy: 'alice', disks: [{ imageRef: randomUUID(), imageName: 'i' }] } : undefined;
      const stored = await this.db.nodes.storeStep(node.id, step, { history: { conductor: HOST, user: 'alice' }, ...(snapshot ? { snapshot } : {}) });
      if (!stored.stored) throw new Error(`not stored: ${stored.reason}`);
    }
    if (lock !== undefined) await this.db.nodes.reserve(node.id, lock);
    return this.db.nodes.get(node.id);
  }

  history(node: NodeRow): Promise<HistoryRow[]> {
    return this.db.history.listOf(node.id);
  }

  async close(): Promise<void> {
    await this.#background.stop();
    await this.#hardware.close();
    await this.db.close();
    await this.rack.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function failUnused(name: string): never {
  throw new Error(`the ${name} is not on this stage: the work under test has no business with it`);
}

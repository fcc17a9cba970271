import { chmod, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import sqlite3 from 'sqlite3';
import { DataSource } from 'typeorm';
import { messageOf, OperationFailedError } from '../../protocol/errors.ts';
import { ConductorStore } from './conductor-store.ts';
import { ConductorEntity } from './entities/conductor-entity.ts';
import { HistoryEntity } from './entities/history-entity.ts';
import { InventoryEntity } from './entities/inventory-entity.ts';
import { NodeEntity } from './entities/node-entity.ts';
import { OperationEntity } from './entities/operation-entity.ts';
import { PortEntity } from './entities/port-entity.ts';
import { PortgroupEntity } from './entities/portgroup-entity.ts';
import { SnapshotDiskEntity, SnapshotEntity } from './entities/snapshot-entity.ts';
import { TraitEntity } from './entities/trait-entity.ts';
import { VolumeConnectorEntity, VolumeTargetEntity } from './entities/volume-entities.ts';
import { HistoryStore } from './history-store.ts';
import { InventoryStore } from './inventory-store.ts';
import { MIGRATIONS } from './migrations/migrations.ts';
import { NodeStore } from './node-store.ts';
import { OperationStore } from './operation-store.ts';
import { PortStore } from './port-store.ts';
import { PortgroupStore } from './portgroup-store.ts';
import { SerialConnection } from './serial-connection.ts';
import { SnakeNaming } from './snake-naming.ts';
import { SnapshotStore } from './snapshot-store.ts';
import { TraitStore } from './trait-store.ts';
import { VolumeConnectorStore } from './volume-connector-store.ts';
import { VolumeTargetStore } from './volume-target-store.ts';

const BUSY_TIMEOUT_MS = 5_000;

/** The stores of one open database. */
export class Database {
  readonly nodes: NodeStore;
  readonly ports: PortStore;
  readonly portgroups: PortgroupStore;
  readonly volumeConnectors: VolumeConnectorStore;
  readonly volumeTargets: VolumeTargetStore;
  readonly snapshots: SnapshotStore;
  readonly operations: OperationStore;
  readonly inventories: InventoryStore;
  readonly history: HistoryStore;
  readonly conductors: ConductorStore;
  readonly traits: TraitStore;
  readonly #connection: SerialConnection;

  constructor(source: DataSource) {
    this.#connection = new SerialConnection(source);
    this.nodes = new NodeStore(this.#connection);
    this.ports = new PortStore(this.#connection);
    this.portgroups = new PortgroupStore(this.#connection);
    this.volumeConnectors = new VolumeConnectorStore(this.#connection);
    this.volumeTargets = new VolumeTargetStore(this.#connection);
    this.snapshots = new SnapshotStore(this.#connection);
    this.operations = new OperationStore(this.#connection);
    this.inventories = new InventoryStore(this.#connection);
    this.history = new HistoryStore(this.#connection);
    this.conductors = new ConductorStore(this.#connection);
    this.traits = new TraitStore(this.#connection);
  }

  /** Resolves when everything asked for is stored and the file is closed. */
  close(): Promise<void> {
    return this.#connection.close();
  }
}

/**
 * Opens the database and brings its schema up to date.
 * @param options.path a file (made with its directory when missing, readable by its owner only: it holds agent tokens), or `:memory:`.
 * @throws OperationFailedError when the file cannot be opened or migrated.
 */
export async function openDatabase(options: { path: string }): Promise<Database> {
  const source = createDataSource(options.path);
  try {
    if (options.path !== ':memory:') await protectFile(options.path);
    await source.initialize();
    await source.runMigrations({ transaction: 'each' });
    return new Database(source);
  } catch (error) {
    if (source.isInitialized) await source.destroy();
    throw new OperationFailedError(`cannot open the database ${options.path}: ${messageOf(error)}`, { path: options.path }, error);
  }
}

/**
 * A transaction takes the write lock when it begins, and waits for it: one that reads first, while another process (a
 * second conductor) writes, fails at its own first write with SQLITE_BUSY at once, however long the busy timeout is.
 */
class ImmediateDatabase extends sqlite3.Database {
  override all(sql: string, ...rest: unknown[]): this {
    return super.all(sql === 'BEGIN TRANSACTION' ? 'BEGIN IMMEDIATE TRANSACTION' : sql, ...rest);
  }
}
/** TypeORM asks the driver for `verbose`, which takes a stack trace for every statement: a fifth of what a request costs. */
const DRIVER = { ...sqlite3, Database: ImmediateDatabase, verbose: () => DRIVER };

/** The connection's settings; for openDatabase, and for tests that look at the schema. Synchronous mode stays FULL, sqlite's own: what is stored survives a power cut. */
export function createDataSource(path: string): DataSource {
  return new DataSource({
    type: 'sqlite',
    driver: DRIVER,
    database: path,
    enableWAL: path !== ':memory:',
    busyTimeout: BUSY_TIMEOUT_MS,
    synchronize: false,
    entities: [NodeEntity, PortEntity, SnapshotEntity, SnapshotDiskEntity, HistoryEntity, ConductorEntity, TraitEntity, OperationEntity, InventoryEntity, PortgroupEntity, VolumeConnectorEntity, VolumeTargetEntity],
    migrations: MIGRATIONS,
    migrationsTableName: 'migrations',
    namingStrategy: new SnakeNaming(),
  });
}

/** sqlite gives its journal files the mode of the database file, so it is made before sqlite would make it. */
async function protectFile(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await (await open(path, 'a', 0o600)).close();
  await chmod(path, 0o600);
}

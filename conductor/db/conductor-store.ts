import { ConductorEntity } from './entities/conductor-entity.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { ConductorRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';

/** The conductors that share this database. */
export class ConductorStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  /** Enters a conductor that starts, or what has changed since it last ran. */
  register(conductor: Pick<ConductorRow, 'hostname' | 'conductorGroup' | 'drivers'>): Promise<ConductorRow> {
    return this.#connection.transaction(async (manager) => {
      const now = new Date();
      const known = await updateRows(manager, ConductorEntity, { hostname: conductor.hostname }, { ...conductor, updatedAt: now });
      if (known === 0) await insertRow(manager, ConductorEntity, { ...conductor, createdAt: now, updatedAt: now });
      return manager.findOneByOrFail(ConductorEntity, { hostname: conductor.hostname });
    });
  }

  /** The conductor is alive now. */
  async touch(hostname: string): Promise<void> {
    await this.#connection.run((manager) => updateRows(manager, ConductorEntity, { hostname }, { updatedAt: new Date() }));
  }

  list(): Promise<ConductorRow[]> {
    return this.#connection.run((manager) => manager.find(ConductorEntity, { order: { id: 'ASC' } }));
  }

  find(hostname: string): Promise<ConductorRow | null> {
    return this.#connection.run((manager) => manager.findOneBy(ConductorEntity, { hostname }));
  }
}

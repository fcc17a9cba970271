import { randomUUID } from 'node:crypto';
import type { FindOptionsWhere } from 'typeorm';
import { ConflictError, NotFoundError } from '../../protocol/errors.ts';
import { PortEntity } from './entities/port-entity.ts';
import { readPage, type Page } from './paging.ts';
import { insertRow, updateRows } from './row-writing.ts';
import type { PortRow } from './rows.ts';
import type { SerialConnection } from './serial-connection.ts';
import { isUniqueViolation } from './unique-violation.ts';
import { onlyOfProject } from './visible-nodes.ts';

export type NewPort = Pick<PortRow, 'nodeId' | 'address'> & Partial<Omit<PortRow, 'id' | 'nodeId' | 'address' | 'createdAt' | 'updatedAt'>>;
export type PortPatch = Partial<Omit<PortRow, 'id' | 'uuid' | 'createdAt' | 'updatedAt'>>;
export interface PortQuery extends Page<PortRow> {
  nodeId?: number;
  portgroupId?: number;
  /** Only ports of nodes that this project owns or leases. */
  visibleTo?: string;
  address?: string;
}

/** Network ports of nodes. Addresses are stored in lower case. */
export class PortStore {
  readonly #connection: SerialConnection;

  constructor(connection: SerialConnection) {
    this.#connection = connection;
  }

  /** By UUID (any case) or by name. */
  async find(ident: string): Promise<PortRow | null> {
    const uuid = ident.toLowerCase();
    const found = await this.#connection.run((manager) => manager.find(PortEntity, { where: [{ uuid }, { name: ident }] }));
    return found.find((port) => port.uuid === uuid) ?? found[0] ?? null;
  }

  ofNode(nodeId: number): Promise<PortRow[]> {
    return this.list({ nodeId });
  }

  /** @throws NotFoundError for an unknown marker. */
  list(query: PortQuery): Promise<PortRow[]> {
    return this.#connection.run((manager) => {
      const ports = manager.createQueryBuilder(PortEntity, 'port');
      if (query.nodeId !== undefined) ports.andWhere('port.nodeId = :nodeId', { nodeId: query.nodeId });
      if (query.portgroupId !== undefined) ports.andWhere('port.portgroupId = :portgroupId', { portgroupId: query.portgroupId });
      if (query.address !== undefined) ports.andWhere('port.address = :address', { address: query.address.toLowerCase() });
      const within = onlyOfProject<PortRow>(query.visibleTo);
      within(ports);
      return readPage(PortEntity, ports, query, within);
    });
  }

  /** @throws ConflictError for an address, UUID or name that another port has. */
  async create(port: NewPort): Promise<PortRow> {
    const row = {
      name: null,
      pxeEnabled: true,
      isSmartnic: false,
      physicalNetwork: null,
      localLinkConnection: {},
      extra: {},
      internalInfo: {},
      portgroupId: null,
      ...port,
      uuid: (port.uuid ?? randomUUID()).toLowerCase(),
      address: port.address.toLowerCase(),
      createdAt: new Date(),
      updatedAt: null,
    };
    await this.#connection.run((manager) => insertRow(manager, PortEntity, row)).catch((error: unknown) => this.#explain(error, row));
    return (await this.find(row.uuid))!;
  }

  /** @throws ConflictError as create; NotFoundError when the port is gone. */
  async update(id: number, patch: PortPatch): Promise<void> {
    const values = { ...patch, ...(patch.address === undefined ? {} : { address: patch.address.toLowerCase() }), updatedAt: new Date() };
    const changed = await this.#connection.run((manager) => updateRows(manager, PortEntity, { id }, values)).catch((error: unknown) => this.#explain(error, patch, id));
    if (changed !== 1) throw new NotFoundError(`Port ${id} could not be found.`);
  }

  async delete(id: number): Promise<void> {
    await this.#connection.run((manager) => manager.delete(PortEntity, { id }));
  }

  async #explain(error: unknown, port: { uuid?: string; address?: string; name?: string | null }, exceptId?: number): Promise<never> {
    if (!isUniqueViolation(error)) throw error;
    const others = async (where: FindOptionsWhere<PortRow>): Promise<boolean> => (await this.#connection.run((manager) => manager.findBy(PortEntity, where))).some((other) => other.id !== exceptId);
    if (port.address !== undefined && (await others({ address: port.address.toLowerCase() }))) throw new ConflictError(`A port with MAC address ${port.address.toLowerCase()} already exists.`, {}, error);
    if (port.uuid !== undefined && (await others({ uuid: port.uuid }))) throw new ConflictError(`A port with UUID ${port.uuid} already exists.`, {}, error);
    throw new ConflictError(`A port with name ${port.name} already exists.`, {}, error);
  }
}

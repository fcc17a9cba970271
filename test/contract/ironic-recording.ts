/** Exchanges with a real Ironic 21.4 (API 1.82, fake hardware), as recorded, and how a reply of ours is compared with one. */
import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import type { ApiUnderTest, Reply } from '../unit/conductor/api/api-under-test.ts';
import { DOUBLE_HOST } from '../unit/conductor/api/workflow-double.ts';

export interface Exchange {
  /** What was typed, or what the request is about. */
  command: string;
  method: string;
  path: string;
  version: string;
  body: unknown;
  reply: { status: number; location: string | null; headers: string[]; body: unknown };
}

export const readExchanges = (file: string): Exchange[] =>
  readFileSync(new URL(file, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Exchange);

/** Of another moment or another inventory: only that both have the member, and of the same type, is compared. */
const VOLATILE = new Set(['created_at', 'updated_at', 'provision_updated_at', 'driver_internal_info', 'event', 'severity', 'drivers', 'reservation', 'inspection_finished_at']);
/** Ironic shows `next` also after the last page, when it is full. */
const keysOf = (document: object): string[] => Object.keys(document).filter((name) => name !== 'next').sort();
/** What a hardware type offers differs. */
const isOffer = (name: string): boolean => /^(enabled_.*_interfaces|default_.*_interface)$/.test(name);
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** A recording asked of our API: learns which generated UUID of ours stands for which recorded one. */
export class Replay {
  readonly #api: ApiUnderTest;
  readonly #uuids = new Map<string, string>();

  constructor(api: ApiUnderTest) {
    this.#api = api;
  }

  async ask({ method, path, version, body, reply }: Exchange): Promise<Reply> {
    const ours = await this.#api.call(method, this.toOurs(path), { version, ...(body === null ? {} : { body: JSON.parse(this.toOurs(JSON.stringify(body))) as unknown }) });
    if (reply.status === 201) this.#learn(reply.body, ours.body);
    if (path.endsWith('/history')) this.#learn((reply.body as { history: unknown[] }).history?.[0], (ours.body as { history: unknown[] }).history?.[0]);
    return ours;
  }

  toOurs(recorded: string): string {
    return recorded.replaceAll('BASE', this.#api.url).replaceAll('localhost', DOUBLE_HOST).replace(UUID, (uuid) => this.#uuids.get(uuid) ?? uuid);
  }

  #learn(recorded: unknown, ours: unknown): void {
    const [theirs, mine] = [(recorded as { uuid?: string } | undefined)?.uuid, (ours as { uuid?: string } | undefined)?.uuid];
    if (theirs !== undefined && mine !== undefined) this.#uuids.set(theirs, mine);
  }

  /** Same headers (by name; the type and the address by value). */
  compareHeaders({ version, reply }: Exchange, ours: Reply): void {
    const wanted = reply.headers.filter((name) => name !== 'content-length' || reply.body === '');
    expect(wanted.filter((name) => ours.headers[name] === undefined)).toEqual([]);
    if (reply.headers.includes('x-openstack-ironic-api-version')) expect(ours.headers['x-openstack-ironic-api-version']).toBe(version);
    if (reply.body !== '') expect(ours.headers['content-type']).toMatch(/^application\/json/);
    expect(ours.headers['openstack-request-id']).toMatch(/^req-[0-9a-f-]{36}$/);
    if (reply.location !== null) expect(ours.headers['location']).toBe(this.toOurs(reply.location));
  }

  /** Same members, types and values. @param ignored members of which only presence and type count. */
  compareBodies(recorded: unknown, ours: unknown, ignored: ReadonlySet<string> = new Set(), path = ''): void {
    const name = path.split('.').at(-1) ?? '';
    if (Array.isArray(recorded) && !isOffer(name)) {
      expect([path, Array.isArray(ours)]).toEqual([path, true]);
      const list = name === 'drivers' ? recorded.filter((driver: { name?: string }) => driver.name === 'fake-hardware') : recorded;
      const found = name === 'drivers' ? (ours as { name?: string }[]).filter((driver) => driver.name === 'fake-hardware') : (ours as unknown[]);
      if (name !== 'history') expect([path, found.length]).toEqual([path, list.length]);
      if (typeof list[0] === 'object') for (const [index, item] of list.entries()) this.compareBodies(item, found[index], ignored, `${path}.${index}`);
      else expect([path, found]).toEqual([path, list.map((item: unknown) => (typeof item === 'string' ? this.toOurs(item) : item))]);
    } else if (typeof recorded === 'object' && recorded !== null && !VOLATILE.has(name) && !ignored.has(name) && !isOffer(name)) {
      expect([path, keysOf(ours as object)]).toEqual([path, keysOf(recorded)]);
      for (const [member, value] of Object.entries(recorded).filter(([member]) => member !== 'next')) this.compareBodies(value, (ours as Record<string, unknown>)[member], ignored, `${path}.${member}`);
    } else if (VOLATILE.has(name) || isOffer(name) || ignored.has(name)) {
      if (recorded !== null && ours !== null) expect([path, typeof ours]).toEqual([path, typeof recorded]);
    } else {
      expect([path, ours]).toEqual([path, typeof recorded === 'string' ? this.toOurs(recorded) : recorded]);
    }
  }
}

export interface RecordedError {
  faultcode?: string;
  faultstring?: string;
  debuginfo?: null;
  code?: number;
}
/** What the string of a recorded `error_message` holds. */
export const errorOf = (body: unknown): RecordedError => JSON.parse((body as { error_message: string }).error_message) as RecordedError;

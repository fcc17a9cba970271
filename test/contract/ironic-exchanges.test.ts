/**
 * Exchanges of the stock `baremetal` client with a real Ironic 21.4 (fake hardware), recorded in order, are asked of our
 * API in the same order: status, addresses, members and values have to be the same. What may differ is named here.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type ApiUnderTest } from '../unit/conductor/api/api-under-test.ts';
import { DOUBLE_HOST } from '../unit/conductor/api/workflow-double.ts';

interface Exchange {
  command: string;
  method: string;
  path: string;
  version: string;
  body: unknown;
  reply: { status: number; location: string | null; body: unknown };
}

const exchanges = readFileSync(new URL('./ironic-exchanges.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Exchange);

/** Of another moment or another inventory: only that both have the member, and of the same type, is compared. */
const VOLATILE = new Set(['created_at', 'updated_at', 'provision_updated_at', 'driver_internal_info', 'event', 'severity', 'drivers', 'next', 'reservation', 'inspection_finished_at']);
/** What a hardware type offers differs. */
const isOffer = (name: string): boolean => /^(enabled_.*_interfaces|default_.*_interface)$/.test(name);

/** The recorded node went through a deployment that wrote its image's type and an undeployment that removed it, and a cleaning that failed: work of drivers, not of the API. */
const WORK_OF_DRIVERS: Readonly<Record<string, string>> = {
  'cli node show gold-1 -f json': 'instance_info',
  'cli node list --limit 1 -f json': 'provision_state',
  'cli node list --sort name:desc -f json': 'provision_state',
  'cli node list --driver fake-hardware --resource-class baremetal': 'provision_state',
};

let api: ApiUnderTest;
/** Generated UUIDs of the recording, and ours. */
const uuids = new Map<string, string>();
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const toOurs = (recorded: string): string => recorded.replaceAll('BASE', api.url).replaceAll('localhost', DOUBLE_HOST).replace(UUID, (uuid) => uuids.get(uuid) ?? uuid);

function compare(recorded: unknown, ours: unknown, path: string, ignored: ReadonlySet<string>): void {
  const name = path.split('.').at(-1) ?? '';
  if (Array.isArray(recorded) && !isOffer(name)) {
    expect([path, Array.isArray(ours)]).toEqual([path, true]);
    const list = name === 'drivers' ? recorded.filter((driver: { name?: string }) => driver.name === 'fake-hardware') : recorded;
    const found = name === 'drivers' ? (ours as { name?: string }[]).filter((driver) => driver.name === 'fake-hardware') : (ours as unknown[]);
    if (typeof list[0] === 'object' && name !== 'history') expect([path, found.length]).toEqual([path, list.length]);
    if (typeof list[0] === 'object') for (const [index, item] of list.entries()) compare(item, found[index], `${path}.${index}`, ignored);
    else expect([path, found]).toEqual([path, list.map((item: unknown) => (typeof item === 'string' ? toOurs(item) : item))]);
  } else if (typeof recorded === 'object' && recorded !== null && !VOLATILE.has(name) && !ignored.has(name)) {
    expect([path, Object.keys(ours as object).sort()]).toEqual([path, Object.keys(recorded).sort()]);
    for (const [member, value] of Object.entries(recorded)) compare(value, (ours as Record<string, unknown>)[member], `${path}.${member}`, ignored);
  } else if (VOLATILE.has(name) || isOffer(name) || ignored.has(name)) {
    if (recorded !== null && ours !== null) expect([path, typeof ours]).toEqual([path, typeof recorded]);
  } else {
    expect([path, ours]).toEqual([path, typeof recorded === 'string' ? toOurs(recorded) : recorded]);
  }
}

/** A UUID that was generated: from here on the recording's means ours. */
function learnUuid(recorded: unknown, ours: unknown): void {
  const [theirs, mine] = [(recorded as { uuid?: string }).uuid, (ours as { uuid?: string }).uuid];
  if (theirs !== undefined && mine !== undefined) uuids.set(theirs, mine);
}

describe('recorded from a real Ironic', () => {
  test.each(exchanges.map((exchange, index) => [index, exchange.command, exchange] as const))('%d %s', async (_index, command, { method, path, version, body, reply }) => {
    const ours = await api.call(method, toOurs(path), { version, ...(body === null ? {} : { body: JSON.parse(toOurs(JSON.stringify(body))) as unknown }) });
    expect(ours.status).toBe(reply.status);
    expect(ours.headers['x-openstack-ironic-api-version']).toBe(version);
    if (reply.status === 201) learnUuid(reply.body, ours.body);
    if (path.endsWith('/history')) learnUuid((reply.body as { history: unknown[] }).history[0], (ours.body as { history: unknown[] }).history[0]);
    if (reply.location !== null) expect(ours.headers['location']).toBe(toOurs(reply.location));
    if (reply.status >= 400) compareErrors(reply.body, ours.error);
    else if (reply.body === '') expect(ours.body).toBe('');
    else if (/\/properties$/.test(path)) expect(Object.values(ours.body as object).every((description) => typeof description === 'string')).toBe(true);
    else compare(reply.body, ours.body, '', new Set([WORK_OF_DRIVERS[command] ?? '']));
  });

  function compareErrors(recorded: unknown, ours: ReturnType<typeof Object>): void {
    const theirs = JSON.parse((recorded as { error_message: string }).error_message) as { faultcode: string; faultstring: string };
    // the order in which the deletable states are named is Python's of a tuple
    const comparable = (words: string): string => toOurs(words).replace(/Valid provision states.*$/, '');
    const found = ours as { faultcode: string; faultstring: string };
    expect({ ...found, faultstring: comparable(found.faultstring) }).toEqual({ ...theirs, faultstring: comparable(theirs.faultstring) });
  }
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxiosInstance } from 'axios';
import { createHttpClient } from '../../../protocol/http-client.ts';
import { createLogger } from '../../../protocol/log.ts';
import type { RackConfigInput } from '../../../simulator/config.ts';
import { SimulatedRack } from '../../../simulator/rack.ts';

export const ACCOUNT = { username: 'admin', password: 'secret:with colon' };
export const SYSTEM = '/redfish/v1/Systems/m1';
export const RESET = `${SYSTEM}/Actions/ComputerSystem.Reset`;
export const SET_FAULTS = `${SYSTEM}/Actions/Oem/Metalshot.SetFaults`;

/** What the tests look at of a ComputerSystem. */
export interface SystemView {
  '@odata.etag': string;
  PowerState: string;
  Boot: Record<string, unknown>;
  Oem: { Metalshot: { RunningFrom: string | null; BootLog: { target: string; result: string; log: string | null; error: string | null }[] } };
}
export interface ErrorView {
  error: { '@Message.ExtendedInfo': { MessageId: string; RelatedProperties?: string[] }[] };
}
export interface CollectionView {
  Members: { '@odata.id': string }[];
}

export interface RackUnderTest {
  rack: SimulatedRack;
  directory: string;
  /** With Basic authentication. */
  http: AxiosInstance;
  anonymous: AxiosInstance;
  close(): Promise<void>;
}

/** A rack with one machine `m1` in a temporary directory. */
export async function startRack(machine: Partial<RackConfigInput['machines'][number]> = {}, rest: Partial<RackConfigInput> = {}): Promise<RackUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'rack-test-'));
  const rack = await SimulatedRack.start(
    {
      redfish: ACCOUNT,
      run_directory: join(directory, 'run'),
      machines: [{ id: 'm1', macs: ['52:54:00:00:00:01', '52:54:00:00:00:02'], disks: [], soft_off_ms: 20, agent: { api_url: 'http://127.0.0.1:1' }, ...machine }],
      ...rest,
    },
    createLogger('simulator', 'silent'),
  );
  const authorization = `Basic ${Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')}`;
  return {
    rack,
    directory,
    http: createHttpClient({ baseURL: rack.url, timeoutMs: 20_000, headers: { Authorization: authorization } }),
    anonymous: createHttpClient({ baseURL: rack.url, timeoutMs: 20_000 }),
    close: async () => {
      await rack.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Waits for a condition; the test's own time limit ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

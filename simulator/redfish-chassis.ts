import type { AxiosResponse } from 'axios';
import { OperationFailedError } from '../protocol/errors.ts';
import { createHttpClient } from '../protocol/http-client.ts';
import type { AnswerChassis } from './chassis-questions.ts';

/** A machine as the Redfish service of its rack shows it. */
export interface RedfishMachine {
  url: string;
  /** Path of its ComputerSystem. */
  systemPath: string;
  username: string;
  password: string;
}

const REQUEST_TIMEOUT_MS = 30_000;
/** Names that ipmi_sim has for boot devices, and Redfish's. It tells neither for how long one is set nor by which firmware. */
const BOOT_TARGETS: Readonly<Record<string, string>> = { none: 'None', pxe: 'Pxe', default: 'Hdd', cdrom: 'Cd' };

/**
 * Answers ipmi_sim's questions about a chassis by the Redfish service in front of a machine; faults of that service are its
 * faults, too. A boot device counts for the next boot.
 */
export function createRedfishChassis({ url, systemPath, username, password }: RedfishMachine, signal: AbortSignal): AnswerChassis {
  const client = createHttpClient({ baseURL: url, timeoutMs: REQUEST_TIMEOUT_MS, headers: { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` } });
  const request = async (method: string, path: string, data?: unknown): Promise<Record<string, unknown>> => {
    const response: AxiosResponse<Record<string, unknown>> = await client.request({ method, url: path, data, signal });
    if (response.status >= 300) throw new OperationFailedError(`${method} ${path} was answered with ${response.status}`);
    return response.data;
  };
  const reset = async (ResetType: string): Promise<string> => {
    await request('POST', `${systemPath}/Actions/ComputerSystem.Reset`, { ResetType });
    return '';
  };

  return async ([way, what, value]) => {
    switch (`${way} ${what}`) {
      case 'get power':
        return `power:${(await request('GET', systemPath))['PowerState'] === 'Off' ? 0 : 1}`;
      case 'get boot': {
        const { BootSourceOverrideTarget: target } = (await request('GET', systemPath))['Boot'] as { BootSourceOverrideTarget: string };
        return `boot:${Object.keys(BOOT_TARGETS).find((name) => BOOT_TARGETS[name] === target) ?? 'none'}`;
      }
      case 'set power':
        return reset(value === '1' ? 'On' : 'ForceOff');
      case 'set reset':
        return reset('ForceRestart');
      case 'set shutdown':
        return reset('GracefulShutdown');
      case 'set boot': {
        const target = BOOT_TARGETS[value ?? ''];
        if (target === undefined) throw new OperationFailedError(`this machine cannot boot from ${value}`);
        await request('PATCH', systemPath, { Boot: { BootSourceOverrideTarget: target, BootSourceOverrideEnabled: target === 'None' ? 'Disabled' : 'Once' } });
        return '';
      }
      default:
        throw new OperationFailedError(`this machine knows nothing of ${way} ${what}`);
    }
  };
}

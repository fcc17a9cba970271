import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureCertificate } from '../../../../conductor/certificates.ts';
import { createRedfishPower } from '../../../../conductor/drivers/power/redfish.ts';
import { readRedfishAccess } from '../../../../conductor/drivers/redfish-access.ts';
import { createRedfishSystems } from '../../../../conductor/drivers/redfish-systems.ts';
import type { JsonObject } from '../../../../protocol/json.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';
import { RedfishDouble } from '../../../contract/power/redfish-double.ts';

describe('the properties of a BMC', () => {
  test('need an address only; the rest has safe defaults', async () => {
    expect(await readRedfishAccess({ redfish_address: '10.0.0.7' })).toEqual({ origin: 'https://10.0.0.7', systemPath: null, login: null, authType: 'auto', verifyCa: true });
  });

  test('may be given in full', async () => {
    expect(
      await readRedfishAccess({ redfish_address: 'http://bmc.example:8000/redfish/v1/', redfish_system_id: '/redfish/v1/Systems/1', redfish_username: 'u', redfish_password: 'p', redfish_auth_type: 'basic', redfish_verify_ca: 'False' }),
    ).toEqual({ origin: 'http://bmc.example:8000', systemPath: '/redfish/v1/Systems/1', login: { username: 'u', password: 'p' }, authType: 'basic', verifyCa: false });
  });

  test.each<[JsonObject, string]>([
    [{}, "Missing the following Redfish properties in node's driver_info: ['redfish_address']"],
    [{ redfish_address: 7 }, 'driver_info.redfish_address: expected text, found 7'],
    [{ redfish_address: 'ftp://bmc' }, 'driver_info.redfish_address: expected an address'],
    [{ redfish_address: 'https://bmc/../../x' }, 'driver_info.redfish_address: expected an address'],
    [{ redfish_address: 'https://root:calvin@bmc' }, 'found one with credentials in it'],
    [{ redfish_address: 'bmc', redfish_system_id: 'Systems/1' }, 'driver_info.redfish_system_id: expected a path'],
    [{ redfish_address: 'bmc', redfish_system_id: '//evil/Systems/1' }, 'driver_info.redfish_system_id: expected a path'],
    [{ redfish_address: 'bmc', redfish_system_id: '/redfish/../admin' }, 'driver_info.redfish_system_id: expected a path'],
    [{ redfish_address: 'bmc', redfish_username: 'u' }, 'driver_info.redfish_password: required with redfish_username'],
    [{ redfish_address: 'bmc', redfish_password: 'secret-1' }, 'driver_info.redfish_username: required with redfish_password'],
    [{ redfish_address: 'bmc', redfish_username: 'u', redfish_password: 12345 }, 'driver_info.redfish_password: expected text'],
    [{ redfish_address: 'bmc', redfish_auth_type: 'digest' }, 'driver_info.redfish_auth_type: expected session, basic or auto, found "digest"'],
    [{ redfish_address: 'bmc', redfish_verify_ca: 'yes' }, 'driver_info.redfish_verify_ca: expected true, false, PEM text'],
    [{ redfish_address: 'bmc', redfish_verify_ca: '/no/such/file.pem' }, 'driver_info.redfish_verify_ca: cannot read /no/such/file.pem: ENOENT'],
    [{ redfish_address: 'bmc', redfish_verify_ca: '/etc/passwd' }, 'driver_info.redfish_verify_ca: /etc/passwd holds no PEM certificate'],
  ])('are refused with the name of the wrong one: %j', async (driverInfo, message) => {
    const error = await readRedfishAccess(driverInfo).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'InvalidParameterValue' });
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toMatch(/calvin|secret-1|12345/);
  });
});

describe('the certificate of a BMC', () => {
  const systems = createRedfishSystems({ retryPauseMs: 1 });
  const power = createRedfishPower(systems);
  let directory: string;
  let bmc: RedfishDouble;
  let cert: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metalshot-bmc-'));
    const pair = await ensureCertificate(directory, 'bmc', ['bmc.example']); // not the address by which it is reached
    cert = pair.cert;
    bmc = await RedfishDouble.start({ tls: pair });
  });
  afterEach(async () => {
    await systems.close();
    await bmc.stop();
    await rm(directory, { recursive: true });
  });
  const ask = (redfish_verify_ca: string | boolean): Promise<string> => power.getPowerState(makeTask({ driverInfo: { ...bmc.driverInfo, redfish_verify_ca } }));

  test('is pinned by its PEM, given as text or as a file, whatever name it has', async () => {
    const file = join(directory, 'pinned.pem');
    await writeFile(file, cert);
    expect(await ask(cert)).toBe('power off');
    expect(await ask(file)).toBe('power off');
  });

  test('that nobody vouches for is refused at once, with what to do', async () => {
    await expect(ask(true)).rejects.toThrow(/its certificate is not trusted; set redfish_verify_ca/);
    expect(bmc.requests).toEqual([]);
  });

  test('that is another than the pinned one is refused', async () => {
    const other = await ensureCertificate(directory, 'other', ['127.0.0.1']);
    await expect(ask(other.cert)).rejects.toThrow(/its certificate is not trusted/);
    expect(bmc.requests).toEqual([]);
  });

  test('is not looked at when that is configured', async () => {
    expect(await ask(false)).toBe('power off');
  });
});

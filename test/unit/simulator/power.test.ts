import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RESET, SET_FAULTS, startRack, SYSTEM, until, type RackUnderTest, type SystemView } from './rack-under-test.ts';

let it: RackUnderTest;
beforeEach(async () => {
  it = await startRack();
});
afterEach(() => it.close());

const reset = async (type: string): Promise<number> => (await it.http.post(RESET, { ResetType: type })).status;
const view = async (): Promise<SystemView> => (await it.http.get<SystemView>(SYSTEM)).data;
const fault = async (change: object): Promise<number> => (await it.http.post(SET_FAULTS, change)).status;

describe('power', () => {
  test('a machine goes through on, restart and off, and keeps a log of its boots', async () => {
    expect(await reset('On')).toBe(204);
    expect(await view()).toMatchObject({ PowerState: 'On', Oem: { Metalshot: { RunningFrom: 'disk' } } });
    expect(await reset('ForceRestart')).toBe(204);
    expect(await reset('ForceOff')).toBe(204);
    const { PowerState, Oem } = await view();
    expect(PowerState).toBe('Off');
    expect(Oem.Metalshot.BootLog).toMatchObject([{ target: 'Hdd', result: 'off' }, { target: 'Hdd', result: 'off' }]);
  });

  test('asking for the state that it has is fine', async () => {
    expect([await reset('ForceOff'), await reset('GracefulShutdown'), await reset('On'), await reset('On')]).toEqual([204, 204, 204, 204]);
    expect((await view()).Oem.Metalshot.BootLog).toHaveLength(1);
  });

  test('a graceful shutdown is answered at once and carried out by the operating system', async () => {
    await reset('On');
    expect(await reset('GracefulShutdown')).toBe(204);
    await until(async () => (await view()).PowerState === 'Off');
  });

  test('a graceful restart boots again', async () => {
    await reset('On');
    expect(await reset('GracefulRestart')).toBe(204);
    await until(async () => (await view()).Oem.Metalshot.BootLog.length === 2);
    expect(await view()).toMatchObject({ PowerState: 'On', Oem: { Metalshot: { RunningFrom: 'disk' } } });
  });
});

describe('faults', () => {
  test('an operating system that ignores the request stays on and is switched off hard', async () => {
    await fault({ ignore_graceful_shutdown: true });
    await reset('On');
    await reset('GracefulShutdown');
    expect((await view()).PowerState).toBe('On');
    await reset('ForceOff');
    expect((await view()).PowerState).toBe('Off');
  });

  test('a boot from the network that hangs leaves the machine on with nothing running', async () => {
    await fault({ pxe_hangs: true });
    await it.http.patch(SYSTEM, { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } });
    await reset('On');
    expect(await view()).toMatchObject({ PowerState: 'On', Oem: { Metalshot: { RunningFrom: null, BootLog: [{ target: 'Pxe', result: 'hung' }] } } });
    await reset('ForceRestart');
    expect((await view()).Oem.Metalshot.RunningFrom).toBe('disk');
  });

  test('power can be refused, or accepted and not carried out', async () => {
    await fault({ power_on: 'refused' });
    expect(await reset('On')).toBe(500);
    await fault({ power_on: 'silent' });
    expect(await reset('On')).toBe(204);
    expect((await view()).PowerState).toBe('Off');
    await fault({ power_on: 'works', power_off: 'refused' });
    await reset('On');
    expect(await reset('ForceOff')).toBe(500);
    await fault({ power_off: 'silent' });
    expect(await reset('ForceOff')).toBe(204);
    expect((await view()).PowerState).toBe('On');
  });

  test('a strict BMC answers 409 to a reset into the state that the machine has', async () => {
    await fault({ strict_reset: true });
    expect([await reset('ForceOff'), await reset('On'), await reset('On'), await reset('ForceOff')]).toEqual([409, 204, 409, 204]);
  });

  test('the BMC fails for so many requests, then works again', async () => {
    await fault({ bmc: { mode: 'error', requests: 2 } });
    expect([(await it.http.get(SYSTEM)).status, await reset('On'), (await it.http.get(SYSTEM)).status]).toEqual([500, 500, 200]);
    await fault({ bmc: { mode: 'drop', requests: 1 } });
    await expect(it.http.get(SYSTEM)).rejects.toThrow(/hang up|ECONNRESET/);
    expect((await it.http.get(SYSTEM)).status).toBe(200);
  });

  test('a BMC that hangs answers nothing until the fault is cleared', async () => {
    await fault({ bmc: { mode: 'hang' } });
    await expect(it.http.get(SYSTEM, { timeout: 100 })).rejects.toThrow(/timeout/);
    expect(await fault({ bmc: null })).toBe(200);
    expect((await it.http.get(SYSTEM)).status).toBe(200);
  });

  test('an unknown fault is refused; what is not named stays as it was', async () => {
    await fault({ pxe_hangs: true });
    expect(await fault({ explodes: true })).toBe(400);
    expect((await it.http.post(SET_FAULTS, { power_on: 'silent' })).data).toMatchObject({ pxe_hangs: true, power_on: 'silent', bmc: null });
  });
});

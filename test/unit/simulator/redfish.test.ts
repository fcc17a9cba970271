import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ACCOUNT, RESET, startRack, SYSTEM, type CollectionView, type ErrorView, type RackUnderTest, type SystemView } from './rack-under-test.ts';

let it: RackUnderTest;
beforeEach(async () => {
  it = await startRack();
});
afterEach(() => it.close());

describe('sessions and authentication', () => {
  test('the service root needs no authentication and leads to systems and sessions', async () => {
    const { status, data } = await it.anonymous.get<unknown>('/redfish/v1');
    expect(status).toBe(200);
    expect(data).toMatchObject({ Systems: { '@odata.id': '/redfish/v1/Systems' }, Links: { Sessions: { '@odata.id': '/redfish/v1/SessionService/Sessions' } } });
    expect((await it.anonymous.get('/redfish/v1/')).status).toBe(200);
  });

  test('everything else does, and says so in the form of a Redfish error', async () => {
    const { status, data, headers } = await it.anonymous.get<ErrorView>(SYSTEM);
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toMatch(/^Basic/);
    expect(data.error['@Message.ExtendedInfo'][0]?.MessageId).toMatch(/^Base\./);
    expect((await it.anonymous.get(SYSTEM, { auth: { ...ACCOUNT, password: 'wrong' } })).status).toBe(401);
    expect((await it.anonymous.get(SYSTEM, { auth: ACCOUNT })).status).toBe(200);
  });

  test('a session gives a token that works until the session is deleted', async () => {
    const opened = await it.anonymous.post('/redfish/v1/SessionService/Sessions', { UserName: ACCOUNT.username, Password: ACCOUNT.password });
    expect(opened.status).toBe(201);
    const headers = { 'X-Auth-Token': String(opened.headers['x-auth-token']) };
    expect((await it.anonymous.get(SYSTEM, { headers })).status).toBe(200);
    expect((await it.anonymous.get(String(opened.headers['location']), { headers })).data).toMatchObject({ UserName: ACCOUNT.username });
    expect((await it.anonymous.delete(String(opened.headers['location']), { headers })).status).toBe(204);
    expect((await it.anonymous.get(SYSTEM, { headers })).status).toBe(401);
  });

  test('a session is not opened with a wrong password', async () => {
    const { status, headers } = await it.anonymous.post('/redfish/v1/SessionService/Sessions', { UserName: ACCOUNT.username, Password: 'x' });
    expect(status).toBe(401);
    expect(headers['x-auth-token']).toBeUndefined();
  });
});

describe('the system resource', () => {
  test('shows power, boot override, network interfaces and where it runs from', async () => {
    const { data, headers } = await it.http.get<SystemView>(SYSTEM);
    expect(data).toMatchObject({ Id: 'm1', UUID: it.rack.machine('m1').uuid, PowerState: 'Off', Boot: { BootSourceOverrideTarget: 'None', BootSourceOverrideEnabled: 'Disabled' }, Oem: { Metalshot: { RunningFrom: null, BootLog: [] } } });
    expect(headers['etag']).toBe(data['@odata.etag']);
    const interfaces = await it.http.get<CollectionView>(`${SYSTEM}/EthernetInterfaces`);
    const macs = await Promise.all(interfaces.data.Members.map(async (member) => (await it.http.get<{ MACAddress: string }>(member['@odata.id'])).data.MACAddress));
    expect(macs).toEqual(['52:54:00:00:00:01', '52:54:00:00:00:02']);
  });

  test('a PATCH with the current ETag is taken, with an old one refused with 412', async () => {
    const { headers } = await it.http.get(SYSTEM);
    const change = { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once', BootSourceOverrideMode: 'Legacy' } };
    const patched = await it.http.patch<SystemView>(SYSTEM, change, { headers: { 'If-Match': String(headers['etag']) } });
    expect(patched.status).toBe(200);
    expect(patched.data.Boot).toMatchObject(change.Boot);
    const refused = await it.http.patch(SYSTEM, { Boot: { BootSourceOverrideEnabled: 'Disabled' } }, { headers: { 'If-Match': String(headers['etag']) } });
    expect(refused.status).toBe(412);
    expect((await it.http.get<SystemView>(SYSTEM)).data.Boot).toMatchObject(change.Boot);
  });

  test.each([
    ['a value that the machine does not know', { Boot: { BootSourceOverrideTarget: 'Floppy' } }, '#/Boot/BootSourceOverrideTarget'],
    ['a property that does not exist', { Boot: { BootSourceOverrideColour: 'red' } }, '#/Boot/BootSourceOverrideColour'],
  ])('%s is refused and named, and nothing changes', async (_name, change, property) => {
    const { status, data } = await it.http.patch<ErrorView>(SYSTEM, change);
    expect(status).toBe(400);
    expect(data.error['@Message.ExtendedInfo'][0]?.RelatedProperties).toEqual([property]);
    expect((await it.http.get<SystemView>(SYSTEM)).data.Boot).toMatchObject({ BootSourceOverrideTarget: 'None' });
  });

  test('what is not JSON gets 400, what does not exist 404, an unknown reset 400', async () => {
    expect((await it.http.patch(SYSTEM, '{"Boot":', { headers: { 'Content-Type': 'application/json' } })).status).toBe(400);
    expect((await it.http.get('/redfish/v1/Systems/other')).status).toBe(404);
    expect((await it.http.get(`${SYSTEM}/EthernetInterfaces/NIC9`)).status).toBe(404);
    expect((await it.http.post(RESET, { ResetType: 'Explode' })).status).toBe(400);
    expect((await it.http.delete(SYSTEM)).status).toBe(405);
  });
});

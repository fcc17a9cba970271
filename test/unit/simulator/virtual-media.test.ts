import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startRack, type CollectionView, type ErrorView, type RackUnderTest } from './rack-under-test.ts';

const DRIVE = '/redfish/v1/Managers/m1/VirtualMedia/Cd';
const INSERT = `${DRIVE}/Actions/VirtualMedia.InsertMedia`;
const EJECT = `${DRIVE}/Actions/VirtualMedia.EjectMedia`;

let it: RackUnderTest;
let images: Server;
let base: string;

/** `/good.iso` is read in pieces, `/whole.iso` is not, and the rest is not there. */
beforeEach(async () => {
  it = await startRack();
  const content = Buffer.alloc(40_000);
  content.write('\u0001CD001', 32_768, 'latin1');
  images = createServer((request, response) => {
    const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (request.url === '/good.iso' && first !== '') response.writeHead(206).end(content.subarray(Number(first), Number(last) + 1));
    else response.writeHead(request.url === '/missing.iso' ? 404 : 200).end(content);
  });
  images.listen(0, '127.0.0.1');
  await once(images, 'listening');
  base = `http://127.0.0.1:${(images.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await it.close();
  images.closeAllConnections();
  images.close();
  await once(images, 'close');
});

const drive = async (): Promise<Record<string, unknown>> => (await it.http.get<Record<string, unknown>>(DRIVE)).data;

describe('the virtual CD drive of a simulated BMC', () => {
  test('is found from the system by its manager', async () => {
    const { data: system } = await it.http.get<{ Links: { ManagedBy: { '@odata.id': string }[] } }>('/redfish/v1/Systems/m1');
    const { data: manager } = await it.http.get<{ VirtualMedia: { '@odata.id': string } }>(system.Links.ManagedBy[0]!['@odata.id']);
    const { data: collection } = await it.http.get<CollectionView>(manager.VirtualMedia['@odata.id']);
    expect(collection.Members).toEqual([{ '@odata.id': DRIVE }]);
    expect(await drive()).toMatchObject({ MediaTypes: ['CD', 'DVD'], Inserted: false, Image: null, ImageName: null, ConnectedVia: 'NotConnected' });
  });

  test('takes one image at a time and gives it back', async () => {
    expect((await it.http.post(INSERT, { Image: `${base}/good.iso`, Inserted: true, WriteProtected: true })).status).toBe(204);
    expect(await drive()).toMatchObject({ Inserted: true, Image: `${base}/good.iso`, ImageName: 'good.iso', ConnectedVia: 'URI', WriteProtected: true });
    expect((await it.http.post(INSERT, { Image: `${base}/good.iso` })).status).toBe(409);
    expect((await it.http.post(EJECT, {})).status).toBe(204);
    expect(await drive()).toMatchObject({ Inserted: false, Image: null });
  });

  test.each([
    ['/missing.iso', /found 404/],
    ['/whole.iso', /expected status 206/],
  ])('does not take %s, which it could not read', async (path, reason) => {
    const { status, data } = await it.http.post<ErrorView>(INSERT, { Image: `${base}${path}` });
    expect([status, JSON.stringify(data)]).toEqual([400, expect.stringMatching(reason)]);
    expect(await drive()).toMatchObject({ Inserted: false });
  });

  test('wants a URL, knows its properties and needs a login', async () => {
    for (const body of [{ Image: 'file:///etc/passwd' }, { Image: 7 }, {}, { Image: `${base}/good.iso`, Eject: false }]) expect((await it.http.post(INSERT, body)).status).toBe(400);
    expect((await it.anonymous.post(INSERT, { Image: `${base}/good.iso` })).status).toBe(401);
    expect((await it.http.patch(DRIVE, { Image: `${base}/good.iso` })).status).toBe(405);
  });

  test('is passed over when it is empty: the machine boots its own disk', async () => {
    await it.http.patch('/redfish/v1/Systems/m1', { Boot: { BootSourceOverrideTarget: 'Cd', BootSourceOverrideEnabled: 'Once' } });
    await it.http.post('/redfish/v1/Systems/m1/Actions/ComputerSystem.Reset', { ResetType: 'On' });
    expect((await it.http.get('/redfish/v1/Systems/m1')).data).toMatchObject({ Oem: { Metalshot: { RunningFrom: 'disk', BootLog: [{ target: 'Cd', result: 'running' }] } } });
  });
});

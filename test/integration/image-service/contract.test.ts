/** What the embedded image service and a real Glance both promise of images and their data: every test runs against both. */
import { describe, expect, test } from '@jest/globals';
import { createHash, randomUUID } from 'node:crypto';
import { DATA, MISSING, onBothServers } from './both-servers.ts';

const digest = (algorithm: string, data: Buffer): string => createHash(algorithm).update(data).digest('hex');
const JSON_TYPE = { 'Content-Type': 'application/json' };

onBothServers((at) => {
  describe('finding the service', () => {
    test('/ lists the versions with 300, /versions with 200', async () => {
      const [root, versions] = [await at.api.send('GET', '/'), await at.api.send('GET', '/versions')];
      expect([root.status, versions.status]).toEqual([300, 200]);
      expect(root.json.versions).toContainEqual({ id: 'v2.7', status: expect.any(String), links: [{ rel: 'self', href: `${at.url}/v2/` }] });
      expect(versions.json).toEqual(root.json);
    });

    test('schemas name the properties of an image', async () => {
      const image = await at.api.send('GET', '/v2/schemas/image');
      expect(Object.keys(image.json.properties as object)).toEqual(expect.arrayContaining(['id', 'name', 'status', 'disk_format', 'os_hash_value', 'tags']));
      expect((await at.api.send('GET', '/v2/schemas/images')).json).toMatchObject({ name: 'images', properties: { images: { type: 'array' } } });
    });

    test('an unknown path is 404, an unknown method 405 with those that are allowed, also HEAD', async () => {
      const id = await at.api.create();
      expect((await at.api.send('GET', '/v2/bogus')).status).toBe(404);
      expect((await at.api.send('GET', `/v2/images/${id}/bogus`)).status).toBe(404);
      expect(await at.api.send('PUT', '/v2/images')).toMatchObject({ status: 405, headers: { allow: 'GET, POST' } });
      expect(await at.api.send('HEAD', `/v2/images/${id}`)).toMatchObject({ status: 405, headers: { allow: 'GET, PATCH, DELETE' } });
      expect(await at.api.send('POST', `/v2/images/${id}/file`)).toMatchObject({ status: 405, headers: { allow: 'GET, PUT' } });
    });

    test('errors come as HTML, as JSON or as text, whichever is accepted', async () => {
      const [html, json, text] = await Promise.all(['*/*', 'application/json', 'text/plain'].map((Accept) => at.api.send('GET', `/v2/images/${MISSING}`, { headers: { Accept } })));
      expect(html?.text).toContain('<h1>404 Not Found</h1>');
      expect(json?.json).toMatchObject({ code: '404 Not Found', message: expect.stringContaining(`No image found with ID ${MISSING}`) });
      expect(text?.text).toMatch(new RegExp(`^404 Not Found\\s+No image found with ID ${MISSING}`));
    });
  });

  describe('creating', () => {
    test('an image without data is queued; 201 with its address and all its members', async () => {
      const reply = await at.api.post({ name: 'new', tags: ['a', 'b', 'a'], os_distro: 'debian', purpose: 'test' });
      expect(reply.status).toBe(201);
      expect(reply.headers.location).toBe(`${at.url}/v2/images/${reply.json.id as string}`);
      const { id, created_at, updated_at, tags, ...rest } = reply.json;
      expect((tags as string[]).sort()).toEqual(['a', 'b']);
      expect(created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(updated_at).toBe(created_at);
      expect(rest).toEqual({
        name: 'new',
        status: 'queued',
        visibility: 'shared',
        owner: null,
        protected: false,
        os_hidden: false,
        disk_format: null,
        container_format: null,
        size: null,
        virtual_size: null,
        min_disk: 0,
        min_ram: 0,
        checksum: null,
        os_hash_algo: null,
        os_hash_value: null,
        os_distro: 'debian',
        purpose: 'test',
        self: `/v2/images/${id as string}`,
        file: `/v2/images/${id as string}/file`,
        schema: '/v2/schemas/image',
      });
      expect(await at.api.show(id as string)).toMatchObject(rest);
    });

    test('an id may be chosen once, and never again, not even after deletion', async () => {
      const id = randomUUID();
      expect((await at.api.post({ id })).status).toBe(201);
      expect((await at.api.post({ id })).status).toBe(409);
      expect((await at.api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      expect((await at.api.post({ id })).status).toBe(409);
    });

    test.each<[string, unknown, number]>([
      ['a malformed id', { id: 'xx' }, 400],
      ['an unknown disk format', { disk_format: 'nope' }, 400],
      ['an unknown visibility', { visibility: 'secret' }, 400],
      ['a name that is no text', { name: 5 }, 400],
      ['a name that is too long', { name: 'x'.repeat(256) }, 400],
      ['an added property that is no text', { purpose: 5 }, 400],
      ['a negative size', { min_disk: -1 }, 400],
      ['a read-only field', { status: 'active' }, 403],
      ['a size', { size: 5 }, 403],
      ['a reserved name', { deleted: 'true' }, 403],
      ['too many properties', Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`p${index}`, 'v'])), 413],
      ['too many tags', { tags: Array.from({ length: 129 }, (_, index) => `t${index}`) }, 413],
    ])('%s is refused', async (_what, fields, status) => {
      expect((await at.api.post(fields)).status).toBe(status);
    });

    test('a body that is missing or no JSON is refused', async () => {
      expect((await at.api.send('POST', '/v2/images', { headers: JSON_TYPE })).status).toBe(400);
      expect((await at.api.send('POST', '/v2/images', { headers: JSON_TYPE, body: '{' })).status).toBe(400);
    });
  });

  describe('uploading', () => {
    test('with a Content-Length: active, with size, md5 and sha512', async () => {
      const id = await at.api.create();
      expect(await at.api.upload(id, DATA)).toMatchObject({ status: 204, text: '' });
      expect(await at.api.show(id)).toMatchObject({ status: 'active', size: DATA.length, virtual_size: DATA.length, checksum: digest('md5', DATA), os_hash_algo: 'sha512', os_hash_value: digest('sha512', DATA) });
    });

    test('chunked: the same', async () => {
      const id = await at.api.create();
      const upload = await at.api.beginUpload(id, DATA);
      expect((await upload.finish(DATA)).status).toBe(204);
      expect(await at.api.show(id)).toMatchObject({ status: 'active', size: 2 * DATA.length, os_hash_value: digest('sha512', Buffer.concat([DATA, DATA])) });
    });

    test('without formats: 400, still queued; PATCH sets them', async () => {
      const { id } = (await at.api.post({})).json as { id: string };
      expect(await at.api.upload(id, DATA)).toMatchObject({ status: 400, text: expect.stringContaining('disk_format, container_format must be set prior to saving data') });
      expect(await at.api.status(id)).toBe('queued');
      const set = await at.api.patch(id, [
        { op: 'add', path: '/disk_format', value: 'qcow2' },
        { op: 'replace', path: '/container_format', value: 'bare' },
      ]);
      expect(set).toMatchObject({ status: 200, json: { disk_format: 'qcow2', container_format: 'bare' } });
      expect((await at.api.upload(id, DATA)).status).toBe(204);
    });

    test.each([['text/plain'], ['application/json'], [undefined]])('as %s: 415', async (type) => {
      const id = await at.api.create();
      expect((await at.api.send('PUT', `/v2/images/${id}/file`, { body: DATA, headers: type === undefined ? {} : { 'Content-Type': type } })).status).toBe(415);
      expect(await at.api.status(id)).toBe('queued');
    });

    test('twice: 409, and the data stays', async () => {
      const id = await at.active();
      expect(await at.api.upload(id, 'other')).toMatchObject({ status: 409, text: expect.stringContaining('from active to saving') });
      expect((await at.api.download(id)).text).toBe(DATA.toString());
    });

    test('while another upload runs: 409, and the first one succeeds', async () => {
      const id = await at.api.create();
      const first = await at.api.beginUpload(id, DATA, 2 * DATA.length);
      expect(await at.api.upload(id, 'other')).toMatchObject({ status: 409, text: expect.stringContaining('from saving to saving') });
      expect((await first.finish(DATA)).status).toBe(204);
      expect(await at.api.show(id)).toMatchObject({ status: 'active', size: 2 * DATA.length });
    });

    test('to a missing image: 404', async () => {
      expect((await at.api.upload(MISSING, DATA)).status).toBe(404);
    });

    test.each([
      ['closed', 'close', 1_000_000],
      ['reset', 'reset', 1_000_000],
      ['half-closed', 'half-close', 1_000_000],
      ['closed between chunks', 'close', undefined],
      ['half-closed between chunks', 'half-close', undefined],
    ] as const)('a connection that is %s half-way: queued again, and the next upload succeeds', async (_what, how, length) => {
      const id = await at.api.create();
      const upload = await at.api.beginUpload(id, Buffer.alloc(300_000), length);
      upload.break(how);
      await at.api.untilQueued(id);
      upload.break('close');
      expect(await at.api.show(id)).toMatchObject({ size: null, os_hash_value: null });
      expect((await at.api.upload(id, DATA)).status).toBe(204);
      expect((await at.api.download(id)).text).toBe(DATA.toString());
    });

    test('DELETE meanwhile: the uploader gets 410', async () => {
      const id = await at.api.create();
      const upload = await at.api.beginUpload(id, DATA, 2 * DATA.length);
      expect((await at.api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      expect((await upload.finish(DATA)).status).toBe(410);
      expect((await at.api.send('GET', `/v2/images/${id}`)).status).toBe(404);
    });

    test('meanwhile the formats cannot be changed, and there is no data', async () => {
      const id = await at.api.create();
      const upload = await at.api.beginUpload(id, DATA, 2 * DATA.length);
      expect((await at.api.patch(id, [{ op: 'replace', path: '/disk_format', value: 'iso' }])).status).toBe(403);
      expect((await at.api.download(id)).status).toBe(204);
      expect((await upload.finish(DATA)).status).toBe(204);
      expect(await at.api.show(id)).toMatchObject({ disk_format: 'raw', status: 'active' });
    });

    test('nothing, wrongly labelled data, a wrong size header: all are taken (so whoever uploads must compare)', async () => {
      const [empty, mislabelled, wrongSize] = [await at.api.create(), await at.api.create({ disk_format: 'qcow2' }), await at.api.create()];
      expect((await at.api.upload(empty, '')).status).toBe(204);
      expect((await at.api.upload(mislabelled, 'not a qcow2, but long enough to be one')).status).toBe(204);
      expect((await at.api.upload(wrongSize, DATA, { 'x-openstack-image-size': '99' })).status).toBe(204);
      expect(await at.api.show(empty)).toMatchObject({ status: 'active', size: 0, virtual_size: null, os_hash_value: digest('sha512', Buffer.alloc(0)) });
      expect(await at.api.show(mislabelled)).toMatchObject({ status: 'active', virtual_size: null });
      expect(await at.api.show(wrongSize)).toMatchObject({ status: 'active', size: DATA.length });
      expect(await at.api.download(empty)).toMatchObject({ status: 200, text: '' });
    });
  });

  describe('downloading', () => {
    test('gives the data with its length and md5; 204 while there is none; 404 without image', async () => {
      const id = await at.active();
      expect(await at.api.download(id)).toMatchObject({ status: 200, text: DATA.toString(), headers: { 'content-length': String(DATA.length), 'content-md5': digest('md5', DATA), 'content-type': 'application/octet-stream' } });
      expect(await at.api.download(await at.api.create())).toMatchObject({ status: 204, text: '' });
      expect((await at.api.download(MISSING)).status).toBe(404);
    });

    test.each([
      ['bytes=2-5', 206, 'ta o', 'bytes 2-5/17'],
      ['bytes=5-', 206, 'of the image', 'bytes 5-16/17'],
      ['bytes=-5', 206, 'image', 'bytes 12-16/17'],
      ['bytes=5-5000', 206, 'of the image', 'bytes 5-16/17'],
      ['bytes=0-0', 206, 'd', 'bytes 0-0/17'],
    ])('Range %s: %i', async (Range, status, text, contentRange) => {
      expect(await at.api.download(await at.active(), { Range })).toMatchObject({ status, text, headers: { 'content-range': contentRange } });
    });

    test.each([
      ['bytes=100-200', 416],
      ['bytes=17-', 416],
      ['lines=1-2', 416],
      ['bytes=0-1,3-4', 400],
    ])('Range %s: %i', async (Range, status) => {
      expect((await at.api.download(await at.active(), { Range })).status).toBe(status);
    });
  });
});

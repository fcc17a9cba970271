/** What the embedded image service and a real Glance both promise: every test runs against both. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomUUID } from 'node:crypto';
import { ImageApi } from './image-api.ts';
import { SERVER_KINDS, type RunningServer } from './servers.ts';

const MISSING = '99999999-9999-4999-8999-999999999999';
const DATA = Buffer.from('data of the image');
const digest = (algorithm: string, data: Buffer): string => createHash(algorithm).update(data).digest('hex');
const JSON_TYPE = { 'Content-Type': 'application/json' };

describe.each(SERVER_KINDS)('$name', (kind) => {
  let server: RunningServer;
  let api: ImageApi;
  beforeAll(async () => {
    server = await kind.start();
    api = new ImageApi(server.url);
  }, 90_000);
  afterAll(() => server.stop());

  const active = async (fields: Record<string, unknown> = {}, data: Buffer = DATA): Promise<string> => {
    const id = await api.create(fields);
    expect((await api.upload(id, data)).status).toBe(204);
    return id;
  };

  describe('finding the service', () => {
    test('/ lists the versions with 300, /versions with 200', async () => {
      const [root, versions] = [await api.send('GET', '/'), await api.send('GET', '/versions')];
      expect([root.status, versions.status]).toEqual([300, 200]);
      expect(root.json.versions).toContainEqual({ id: 'v2.7', status: expect.any(String), links: [{ rel: 'self', href: `${server.url}/v2/` }] });
      expect(versions.json).toEqual(root.json);
    });

    test('schemas name the properties of an image', async () => {
      const image = await api.send('GET', '/v2/schemas/image');
      expect(Object.keys(image.json.properties as object)).toEqual(expect.arrayContaining(['id', 'name', 'status', 'disk_format', 'os_hash_value', 'tags']));
      expect((await api.send('GET', '/v2/schemas/images')).json).toMatchObject({ name: 'images', properties: { images: { type: 'array' } } });
    });

    test('an unknown path is 404, an unknown method 405 with those that are allowed, also HEAD', async () => {
      const id = await api.create();
      expect((await api.send('GET', '/v2/bogus')).status).toBe(404);
      expect((await api.send('GET', `/v2/images/${id}/bogus`)).status).toBe(404);
      expect(await api.send('PUT', '/v2/images')).toMatchObject({ status: 405, headers: { allow: 'GET, POST' } });
      expect(await api.send('HEAD', `/v2/images/${id}`)).toMatchObject({ status: 405, headers: { allow: 'GET, PATCH, DELETE' } });
      expect(await api.send('POST', `/v2/images/${id}/file`)).toMatchObject({ status: 405, headers: { allow: 'GET, PUT' } });
    });

    test('errors come as HTML, as JSON or as text, whichever is accepted', async () => {
      const [html, json, text] = await Promise.all(['*/*', 'application/json', 'text/plain'].map((Accept) => api.send('GET', `/v2/images/${MISSING}`, { headers: { Accept } })));
      expect(html?.text).toContain('<h1>404 Not Found</h1>');
      expect(json?.json).toMatchObject({ code: '404 Not Found', message: expect.stringContaining(`No image found with ID ${MISSING}`) });
      expect(text?.text).toMatch(new RegExp(`^404 Not Found\\s+No image found with ID ${MISSING}`));
    });
  });

  describe('creating', () => {
    test('an image without data is queued; 201 with its address and all its members', async () => {
      const reply = await api.post({ name: 'new', tags: ['a', 'b', 'a'], os_distro: 'debian', purpose: 'test' });
      expect(reply.status).toBe(201);
      expect(reply.headers.location).toBe(`${server.url}/v2/images/${reply.json.id as string}`);
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
      expect(await api.show(id as string)).toMatchObject(rest);
    });

    test('an id may be chosen once, and never again, not even after deletion', async () => {
      const id = randomUUID();
      expect((await api.post({ id })).status).toBe(201);
      expect((await api.post({ id })).status).toBe(409);
      expect((await api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      expect((await api.post({ id })).status).toBe(409);
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
      expect((await api.post(fields)).status).toBe(status);
    });

    test('a body that is missing or no JSON is refused', async () => {
      expect((await api.send('POST', '/v2/images', { headers: JSON_TYPE })).status).toBe(400);
      expect((await api.send('POST', '/v2/images', { headers: JSON_TYPE, body: '{' })).status).toBe(400);
    });
  });

  describe('uploading', () => {
    test('with a Content-Length: active, with size, md5 and sha512', async () => {
      const id = await api.create();
      expect(await api.upload(id, DATA)).toMatchObject({ status: 204, text: '' });
      expect(await api.show(id)).toMatchObject({ status: 'active', size: DATA.length, virtual_size: DATA.length, checksum: digest('md5', DATA), os_hash_algo: 'sha512', os_hash_value: digest('sha512', DATA) });
    });

    test('chunked: the same', async () => {
      const id = await api.create();
      const upload = await api.beginUpload(id, DATA);
      expect((await upload.finish(DATA)).status).toBe(204);
      expect(await api.show(id)).toMatchObject({ status: 'active', size: 2 * DATA.length, os_hash_value: digest('sha512', Buffer.concat([DATA, DATA])) });
    });

    test('without formats: 400, still queued; PATCH sets them', async () => {
      const { id } = (await api.post({})).json as { id: string };
      expect(await api.upload(id, DATA)).toMatchObject({ status: 400, text: expect.stringContaining('disk_format, container_format must be set prior to saving data') });
      expect(await api.status(id)).toBe('queued');
      const set = await api.patch(id, [
        { op: 'add', path: '/disk_format', value: 'qcow2' },
        { op: 'replace', path: '/container_format', value: 'bare' },
      ]);
      expect(set).toMatchObject({ status: 200, json: { disk_format: 'qcow2', container_format: 'bare' } });
      expect((await api.upload(id, DATA)).status).toBe(204);
    });

    test.each([['text/plain'], ['application/json'], [undefined]])('as %s: 415', async (type) => {
      const id = await api.create();
      expect((await api.send('PUT', `/v2/images/${id}/file`, { body: DATA, headers: type === undefined ? {} : { 'Content-Type': type } })).status).toBe(415);
      expect(await api.status(id)).toBe('queued');
    });

    test('twice: 409, and the data stays', async () => {
      const id = await active();
      expect(await api.upload(id, 'other')).toMatchObject({ status: 409, text: expect.stringContaining('from active to saving') });
      expect((await api.download(id)).text).toBe(DATA.toString());
    });

    test('while another upload runs: 409, and the first one succeeds', async () => {
      const id = await api.create();
      const first = await api.beginUpload(id, DATA, 2 * DATA.length);
      expect(await api.upload(id, 'other')).toMatchObject({ status: 409, text: expect.stringContaining('from saving to saving') });
      expect((await first.finish(DATA)).status).toBe(204);
      expect(await api.show(id)).toMatchObject({ status: 'active', size: 2 * DATA.length });
    });

    test('to a missing image: 404', async () => {
      expect((await api.upload(MISSING, DATA)).status).toBe(404);
    });

    test.each([
      ['closed', 'close', 1_000_000],
      ['reset', 'reset', 1_000_000],
      ['half-closed', 'half-close', 1_000_000],
      ['closed between chunks', 'close', undefined],
      ['half-closed between chunks', 'half-close', undefined],
    ] as const)('a connection that is %s half-way: queued again, and the next upload succeeds', async (_what, how, length) => {
      const id = await api.create();
      const upload = await api.beginUpload(id, Buffer.alloc(300_000), length);
      upload.break(how);
      await api.untilQueued(id);
      upload.break('close');
      expect(await api.show(id)).toMatchObject({ size: null, os_hash_value: null });
      expect((await api.upload(id, DATA)).status).toBe(204);
      expect((await api.download(id)).text).toBe(DATA.toString());
    });

    test('DELETE meanwhile: the uploader gets 410', async () => {
      const id = await api.create();
      const upload = await api.beginUpload(id, DATA, 2 * DATA.length);
      expect((await api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      expect((await upload.finish(DATA)).status).toBe(410);
      expect((await api.send('GET', `/v2/images/${id}`)).status).toBe(404);
    });

    test('meanwhile the formats cannot be changed, and there is no data', async () => {
      const id = await api.create();
      const upload = await api.beginUpload(id, DATA, 2 * DATA.length);
      expect((await api.patch(id, [{ op: 'replace', path: '/disk_format', value: 'iso' }])).status).toBe(403);
      expect((await api.download(id)).status).toBe(204);
      expect((await upload.finish(DATA)).status).toBe(204);
      expect(await api.show(id)).toMatchObject({ disk_format: 'raw', status: 'active' });
    });

    test('nothing, wrongly labelled data, a wrong size header: all are taken (so whoever uploads must compare)', async () => {
      const [empty, mislabelled, wrongSize] = [await api.create(), await api.create({ disk_format: 'qcow2' }), await api.create()];
      expect((await api.upload(empty, '')).status).toBe(204);
      expect((await api.upload(mislabelled, 'not a qcow2, but long enough to be one')).status).toBe(204);
      expect((await api.upload(wrongSize, DATA, { 'x-openstack-image-size': '99' })).status).toBe(204);
      expect(await api.show(empty)).toMatchObject({ status: 'active', size: 0, virtual_size: null, os_hash_value: digest('sha512', Buffer.alloc(0)) });
      expect(await api.show(mislabelled)).toMatchObject({ status: 'active', virtual_size: null });
      expect(await api.show(wrongSize)).toMatchObject({ status: 'active', size: DATA.length });
      expect(await api.download(empty)).toMatchObject({ status: 200, text: '' });
    });
  });

  describe('downloading', () => {
    test('gives the data with its length and md5; 204 while there is none; 404 without image', async () => {
      const id = await active();
      expect(await api.download(id)).toMatchObject({ status: 200, text: DATA.toString(), headers: { 'content-length': String(DATA.length), 'content-md5': digest('md5', DATA), 'content-type': 'application/octet-stream' } });
      expect(await api.download(await api.create())).toMatchObject({ status: 204, text: '' });
      expect((await api.download(MISSING)).status).toBe(404);
    });

    test.each([
      ['bytes=2-5', 206, 'ta o', 'bytes 2-5/17'],
      ['bytes=5-', 206, 'of the image', 'bytes 5-16/17'],
      ['bytes=-5', 206, 'image', 'bytes 12-16/17'],
      ['bytes=5-5000', 206, 'of the image', 'bytes 5-16/17'],
      ['bytes=0-0', 206, 'd', 'bytes 0-0/17'],
    ])('Range %s: %i', async (Range, status, text, contentRange) => {
      expect(await api.download(await active(), { Range })).toMatchObject({ status, text, headers: { 'content-range': contentRange } });
    });

    test.each([
      ['bytes=100-200', 416],
      ['bytes=17-', 416],
      ['lines=1-2', 416],
      ['bytes=0-1,3-4', 400],
    ])('Range %s: %i', async (Range, status) => {
      expect((await api.download(await active(), { Range })).status).toBe(status);
    });
  });

  describe('changing', () => {
    test('needs a patch type: 415 that says which', async () => {
      const reply = await api.patch(await api.create(), [], 'application/json');
      expect(reply.status).toBe(415);
      expect(reply.headers['accept-patch']?.split(', ').sort()).toEqual(['application/openstack-images-v2.0-json-patch', 'application/openstack-images-v2.1-json-patch']);
    });

    test('properties are added, replaced and removed; in the older dialect too', async () => {
      const id = await api.create({ purpose: 'test' });
      const reply = await api.patch(id, [
        { op: 'add', path: '/a~1b~0c', value: '1' },
        { op: 'add', path: '/purpose', value: 'other' },
        { op: 'replace', path: '/tags', value: ['t'] },
        { op: 'replace', path: '/owner', value: 'somebody' },
      ]);
      expect(reply).toMatchObject({ status: 200, json: { 'a/b~c': '1', purpose: 'other', tags: ['t'], owner: 'somebody' } });
      expect((await api.patch(id, [{ op: 'remove', path: '/purpose' }])).json).not.toHaveProperty('purpose');
      expect(await api.patch(id, [{ replace: '/name', value: 'old' }], 'application/openstack-images-v2.0-json-patch')).toMatchObject({ status: 200, json: { name: 'old' } });
      expect(await api.show(id)).toMatchObject({ name: 'old', 'a/b~c': '1' });
    });

    test('formats of a queued image can be taken back', async () => {
      expect(await api.patch(await api.create(), [{ op: 'replace', path: '/disk_format', value: null }])).toMatchObject({ status: 200, json: { disk_format: null } });
    });

    test.each<[string, unknown, number]>([
      ['the status', [{ op: 'replace', path: '/status', value: 'queued' }], 403],
      ['the size', [{ op: 'replace', path: '/size', value: 5 }], 403],
      ['the id', [{ op: 'replace', path: '/id', value: MISSING }], 403],
      ['the digest', [{ op: 'replace', path: '/os_hash_value', value: 'x' }], 403],
      ['the locations', [{ op: 'replace', path: '/locations', value: [] }], 403],
      ['the disk format of an active image', [{ op: 'replace', path: '/disk_format', value: 'iso' }], 403],
      ['the same disk format of an active image', [{ op: 'replace', path: '/disk_format', value: 'raw' }], 403],
      ['the removal of the name', [{ op: 'remove', path: '/name' }], 403],
      ['the replacement of a missing property', [{ op: 'replace', path: '/nope', value: 'x' }], 409],
      ['the removal of a missing property', [{ op: 'remove', path: '/nope' }], 409],
      ['a deep path', [{ op: 'add', path: '/a/b', value: 'x' }], 400],
      ['a path without slash', [{ op: 'add', path: 'name', value: 'x' }], 400],
      ['a broken escape', [{ op: 'add', path: '/a~2', value: 'x' }], 400],
      ['an unknown operation', [{ op: 'test', path: '/name', value: 'x' }], 400],
      ['a missing value', [{ op: 'add', path: '/name' }], 400],
      ['a value of the wrong kind', [{ op: 'add', path: '/purpose', value: 1 }], 400],
      ['an operation that is no object', ['x'], 400],
      ['a document that is no list', { op: 'add' }, 400],
    ])('%s is refused, and nothing is changed', async (_what, operations, status) => {
      const id = await active();
      const before = await api.show(id);
      const both = Array.isArray(operations) ? [{ op: 'add', path: '/before', value: 'x' }, ...(operations as unknown[])] : operations;
      expect((await api.patch(id, both)).status).toBe(status);
      expect(await api.show(id)).toEqual(before);
    });

    test('a missing image is 404', async () => {
      expect((await api.patch(MISSING, [{ op: 'replace', path: '/name', value: 'x' }])).status).toBe(404);
    });

    test('tags are put and deleted one by one', async () => {
      const id = await api.create();
      expect((await api.send('PUT', `/v2/images/${id}/tags/blue`)).status).toBe(204);
      expect((await api.show(id)).tags).toEqual(['blue']);
      expect((await api.send('DELETE', `/v2/images/${id}/tags/blue`)).status).toBe(204);
      expect((await api.send('DELETE', `/v2/images/${id}/tags/blue`)).status).toBe(404);
    });

    test('an active image can be deactivated and reactivated, again and again; a queued one cannot', async () => {
      const [id, queued] = [await active(), await api.create()];
      const act = (image: string, action: string): Promise<number> => api.send('POST', `/v2/images/${image}/actions/${action}`).then((reply) => reply.status);
      expect([await act(id, 'deactivate'), await act(id, 'deactivate'), await api.status(id)]).toEqual([204, 204, 'deactivated']);
      expect((await api.download(id)).status).toBe(kind.callersAreAdministrators ? 200 : 403);
      expect(await api.upload(id, DATA)).toMatchObject({ status: 409, text: expect.stringContaining('from deactivated to saving') });
      expect([await act(id, 'reactivate'), await act(id, 'reactivate'), await api.status(id)]).toEqual([204, 204, 'active']);
      expect((await api.download(id)).text).toBe(DATA.toString());
      expect([await act(queued, 'deactivate'), await act(queued, 'reactivate'), await act(id, 'explode')]).toEqual([403, 403, 404]);
    });
  });

  describe('deleting', () => {
    test('204, then everything about it is 404', async () => {
      const id = await active();
      expect((await api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      const after = [await api.send('GET', `/v2/images/${id}`), await api.download(id), await api.upload(id, DATA), await api.send('DELETE', `/v2/images/${id}`)];
      expect(after.map((reply) => reply.status)).toEqual([404, 404, 404, 404]);
    });

    test('a protected image only when it no longer is', async () => {
      const id = await api.create({ protected: true });
      expect((await api.send('DELETE', `/v2/images/${id}`)).status).toBe(403);
      expect((await api.patch(id, [{ op: 'replace', path: '/protected', value: false }])).status).toBe(200);
      expect((await api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
    });
  });

  describe('listing', () => {
    const tag = `set-${randomUUID()}`;
    const ids: Record<string, string> = {};
    beforeAll(async () => {
      ids.one = await active({ name: 'one', tags: [tag, 'odd'], purpose: 'x' }, Buffer.alloc(10));
      ids.two = await active({ name: 'two', tags: [tag], disk_format: 'qcow2' }, Buffer.alloc(20));
      ids.three = await api.create({ name: 'three', tags: [tag, 'odd'], protected: true, owner: 'me' });
      ids.four = await api.create({ name: 'four, five', tags: [tag], visibility: 'community' });
      ids.six = await api.create({ name: 'six', tags: [tag], os_hidden: true });
    });
    const names = async (query: string): Promise<(string | null)[]> => (await api.list(`tag=${tag}&${query}`)).images.map((image) => image.name);

    test.each([
      ['', ['one', 'three', 'two']],
      ['status=active', ['one', 'two']],
      ['status=in:queued,saving', ['three']],
      ['status=bogus', []],
      ['name=one', ['one']],
      ['name=in:one,three', ['one', 'three']],
      ['visibility=all&name=in:%22four, five%22,one', ['four, five', 'one']],
      ['visibility=community', ['four, five']],
      ['visibility=all', ['four, five', 'one', 'three', 'two']],
      ['os_hidden=true', ['six']],
      ['disk_format=qcow2', ['two']],
      ['container_format=bare', ['one', 'three', 'two']],
      ['owner=me', ['three']],
      ['protected=true', ['three']],
      ['tag=odd', ['one', 'three']],
      ['purpose=x', ['one']],
      ['bogus=1', []],
      ['size_min=15', ['two']],
      ['size_max=15', ['one']],
      ['created_at=gt:2020-01-01T00:00:00Z', ['one', 'three', 'two']],
      ['created_at=lt:2020-01-01T00:00:00Z', []],
      ['limit=0', []],
    ])('%s', async (query, expected) => {
      expect((await names(query)).sort()).toEqual(expected);
    });

    test('by ids', async () => {
      const { images } = await api.list(`id=in:${ids.one},${ids.two}`);
      expect(images.map((image) => image.id).sort()).toEqual([ids.one, ids.two].sort());
    });

    test.each([
      ['sort=name:asc', ['one', 'three', 'two']],
      ['sort=name', ['two', 'three', 'one']],
      ['sort_key=name&sort_dir=asc', ['one', 'three', 'two']],
      ['sort=status:asc,name:desc', ['two', 'one', 'three']],
      ['sort=size:asc', ['three', 'one', 'two']],
      ['sort_key=status&sort_key=name&sort_dir=desc&sort_dir=asc', ['three', 'one', 'two']],
    ])('%s', async (query, expected) => {
      expect(await names(query)).toEqual(expected);
    });

    test('page by page, the next page keeps filters and order', async () => {
      const seen: (string | null)[] = [];
      const pages: number[] = [];
      let query: string | undefined = `tag=${tag}&limit=2&sort=name:asc&status=in:active,queued`;
      while (query !== undefined) {
        const page = await api.list(query);
        expect(page.first).toMatch(/^\/v2\/images\?/);
        seen.push(...page.images.map((image) => image.name));
        pages.push(page.images.length);
        query = page.next?.split('?')[1];
      }
      expect([seen, pages]).toEqual([['one', 'three', 'two'], [2, 1]]);
    });

    test.each(['limit=x', 'limit=-1', 'sort_key=nope', 'sort_dir=nope', 'sort=name:up', 'sort=name:asc&sort_key=name', 'sort_key=name&sort_dir=asc&sort_dir=desc', `marker=${MISSING}`, 'visibility=bogus', 'protected=maybe', 'os_hidden=maybe', 'size_min=x', 'created_at=gt:soon'])('%s is refused', async (query) => {
      expect((await api.send('GET', `/v2/images?${query}`)).status).toBe(400);
    });
  });
});

/** What the embedded image service and a real Glance both promise of changing, deleting and listing images. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DATA, MISSING, onBothServers } from './both-servers.ts';

onBothServers((at) => {
  describe('changing', () => {
    test('needs a patch type: 415 that says which', async () => {
      const reply = await at.api.patch(await at.api.create(), [], 'application/json');
      expect(reply.status).toBe(415);
      expect(reply.headers['accept-patch']?.split(', ').sort()).toEqual(['application/openstack-images-v2.0-json-patch', 'application/openstack-images-v2.1-json-patch']);
    });

    test('properties are added, replaced and removed; in the older dialect too', async () => {
      const id = await at.api.create({ purpose: 'test' });
      const reply = await at.api.patch(id, [
        { op: 'add', path: '/a~1b~0c', value: '1' },
        { op: 'add', path: '/purpose', value: 'other' },
        { op: 'replace', path: '/tags', value: ['t'] },
        { op: 'replace', path: '/owner', value: 'somebody' },
      ]);
      expect(reply).toMatchObject({ status: 200, json: { 'a/b~c': '1', purpose: 'other', tags: ['t'], owner: 'somebody' } });
      expect((await at.api.patch(id, [{ op: 'remove', path: '/purpose' }])).json).not.toHaveProperty('purpose');
      expect(await at.api.patch(id, [{ replace: '/name', value: 'old' }], 'application/openstack-images-v2.0-json-patch')).toMatchObject({ status: 200, json: { name: 'old' } });
      expect(await at.api.show(id)).toMatchObject({ name: 'old', 'a/b~c': '1' });
    });

    test('formats of a queued image can be taken back', async () => {
      expect(await at.api.patch(await at.api.create(), [{ op: 'replace', path: '/disk_format', value: null }])).toMatchObject({ status: 200, json: { disk_format: null } });
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
      const id = await at.active();
      const before = await at.api.show(id);
      const both = Array.isArray(operations) ? [{ op: 'add', path: '/before', value: 'x' }, ...(operations as unknown[])] : operations;
      expect((await at.api.patch(id, both)).status).toBe(status);
      expect(await at.api.show(id)).toEqual(before);
    });

    test('a missing image is 404', async () => {
      expect((await at.api.patch(MISSING, [{ op: 'replace', path: '/name', value: 'x' }])).status).toBe(404);
    });

    test('tags are put and deleted one by one', async () => {
      const id = await at.api.create();
      expect((await at.api.send('PUT', `/v2/images/${id}/tags/blue`)).status).toBe(204);
      expect((await at.api.show(id)).tags).toEqual(['blue']);
      expect((await at.api.send('DELETE', `/v2/images/${id}/tags/blue`)).status).toBe(204);
      expect((await at.api.send('DELETE', `/v2/images/${id}/tags/blue`)).status).toBe(404);
    });

    test('an active image can be deactivated and reactivated, again and again; a queued one cannot', async () => {
      const [id, queued] = [await at.active(), await at.api.create()];
      const act = (image: string, action: string): Promise<number> => at.api.send('POST', `/v2/images/${image}/actions/${action}`).then((reply) => reply.status);
      expect([await act(id, 'deactivate'), await act(id, 'deactivate'), await at.api.status(id)]).toEqual([204, 204, 'deactivated']);
      expect((await at.api.download(id)).status).toBe(at.callersAreAdministrators ? 200 : 403);
      expect(await at.api.upload(id, DATA)).toMatchObject({ status: 409, text: expect.stringContaining('from deactivated to saving') });
      expect([await act(id, 'reactivate'), await act(id, 'reactivate'), await at.api.status(id)]).toEqual([204, 204, 'active']);
      expect((await at.api.download(id)).text).toBe(DATA.toString());
      expect([await act(queued, 'deactivate'), await act(queued, 'reactivate'), await act(id, 'explode')]).toEqual([403, 403, 404]);
    });
  });

  describe('deleting', () => {
    test('204, then everything about it is 404', async () => {
      const id = await at.active();
      expect((await at.api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
      const after = [await at.api.send('GET', `/v2/images/${id}`), await at.api.download(id), await at.api.upload(id, DATA), await at.api.send('DELETE', `/v2/images/${id}`)];
      expect(after.map((reply) => reply.status)).toEqual([404, 404, 404, 404]);
    });

    test('a protected image only when it no longer is', async () => {
      const id = await at.api.create({ protected: true });
      expect((await at.api.send('DELETE', `/v2/images/${id}`)).status).toBe(403);
      expect((await at.api.patch(id, [{ op: 'replace', path: '/protected', value: false }])).status).toBe(200);
      expect((await at.api.send('DELETE', `/v2/images/${id}`)).status).toBe(204);
    });
  });

  describe('listing', () => {
    const tag = `set-${randomUUID()}`;
    const ids: Record<string, string> = {};
    beforeAll(async () => {
      ids.one = await at.active({ name: 'one', tags: [tag, 'odd'], purpose: 'x' }, Buffer.alloc(10));
      ids.two = await at.active({ name: 'two', tags: [tag], disk_format: 'qcow2' }, Buffer.alloc(20));
      ids.three = await at.api.create({ name: 'three', tags: [tag, 'odd'], protected: true, owner: 'me' });
      ids.four = await at.api.create({ name: 'four, five', tags: [tag], visibility: 'community' });
      ids.six = await at.api.create({ name: 'six', tags: [tag], os_hidden: true });
    });
    const names = async (query: string): Promise<(string | null)[]> => (await at.api.list(`tag=${tag}&${query}`)).images.map((image) => image.name);

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
      const { images } = await at.api.list(`id=in:${ids.one},${ids.two}`);
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
        const page = await at.api.list(query);
        expect(page.first).toMatch(/^\/v2\/images\?/);
        seen.push(...page.images.map((image) => image.name));
        pages.push(page.images.length);
        query = page.next?.split('?')[1];
      }
      expect([seen, pages]).toEqual([['one', 'three', 'two'], [2, 1]]);
    });

    test.each(['limit=x', 'limit=-1', 'sort_key=nope', 'sort_dir=nope', 'sort=name:up', 'sort=name:asc&sort_key=name', 'sort_key=name&sort_dir=asc&sort_dir=desc', `marker=${MISSING}`, 'visibility=bogus', 'protected=maybe', 'os_hidden=maybe', 'size_min=x', 'created_at=gt:soon'])('%s is refused', async (query) => {
      expect((await at.api.send('GET', `/v2/images?${query}`)).status).toBe(400);
    });
  });
});

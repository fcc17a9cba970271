import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { ImageApi } from './image-api.ts';
import { SERVER_KINDS, type RunningServer } from './servers.ts';

export const MISSING = '99999999-9999-4999-8999-999999999999';
export const DATA = Buffer.from('data of the image');

export interface AtServer {
  readonly api: ImageApi;
  readonly url: string;
  /** Without Keystone, Glance takes every caller for an administrator. */
  readonly callersAreAdministrators: boolean;
  /** Makes an image that has data. @returns its id. */
  active(fields?: Record<string, unknown>, data?: Buffer): Promise<string>;
}

/** Declares tests that run against the embedded image service and against a real Glance. */
export function onBothServers(tests: (at: AtServer) => void): void {
  describe.each(SERVER_KINDS)('$name', (kind) => {
    let server: RunningServer;
    let api: ImageApi;
    beforeAll(async () => {
      server = await kind.start();
      api = new ImageApi(server.url);
    }, 90_000);
    afterAll(() => server.stop());
    tests({
      get api() {
        return api;
      },
      get url() {
        return server.url;
      },
      callersAreAdministrators: kind.callersAreAdministrators,
      async active(fields = {}, data = DATA) {
        const id = await api.create(fields);
        expect((await api.upload(id, data)).status).toBe(204);
        return id;
      },
    });
  });
}

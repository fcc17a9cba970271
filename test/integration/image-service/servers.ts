import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createImageServer, listenImageServer } from '../../../image-service/embedded/server.ts';
import { createLogger } from '../../../protocol/log.ts';
import { startGlance } from '../../peers/glance.ts';

export interface RunningServer {
  url: string;
  stop(): Promise<void>;
}

export interface ServerKind {
  name: string;
  /** A Glance without keystone takes everybody for an administrator; the embedded service nobody. */
  callersAreAdministrators: boolean;
  /** `storeDirectory`: where the data of images goes, when it matters to the test. */
  start(storeDirectory?: string): Promise<RunningServer>;
}

export const SERVER_KINDS: readonly ServerKind[] = [
  { name: 'the embedded image service', callersAreAdministrators: false, start: startEmbedded },
  { name: 'a real Glance', callersAreAdministrators: true, start: (storeDirectory) => startGlance({ storeDirectory }) },
];

/** In this process, in a directory of its own that `stop` removes. */
export async function startEmbedded(storeDirectory?: string): Promise<RunningServer> {
  const directory = storeDirectory ?? (await mkdtemp(join(tmpdir(), 'embedded-images-')));
  const listener = await listenImageServer(createImageServer({ directory, log: createLogger('image-service', 'silent') }), { host: '127.0.0.1', port: 0 });
  return {
    url: listener.url,
    stop: async () => {
      await listener.close();
      if (storeDirectory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

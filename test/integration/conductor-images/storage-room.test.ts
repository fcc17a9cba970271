/** Fetched images never fill the file system that they lie on. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { runProgram } from '../../../protocol/program.ts';
import { describeWhere } from '../../machine-needs.ts';
import { ImageStage, LOOPBACK, MIB, fileSource } from './image-stage.ts';

test('an image for which there is no room is refused before a byte of it is fetched', async () => {
  const frugal = await ImageStage.start({ limits: { reserveBytes: 2 ** 52 } });
  try {
    await expect(frugal.prepare(randomUUID(), await fileSource(await frugal.makeRaw('disk.raw', 16 * MIB)))).rejects.toMatchObject({ httpStatus: 503, message: expect.stringContaining('must stay free') });
    expect(await readdir(frugal.spool)).toEqual([]);
  } finally {
    await frugal.close();
  }
});

describeWhere(['root'], 'a spool with little room', () => {
  const RESERVE = 4 * MIB;
  let stage: ImageStage;
  beforeEach(async () => {
    stage = await ImageStage.start({ limits: { reserveBytes: RESERVE }, allowedNetworks: LOOPBACK });
    await mkdir(stage.spool);
    await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'metalshot-images', stage.spool], { timeoutMs: 10_000 });
  });
  afterEach(async () => {
    await runProgram('umount', [stage.spool], { timeoutMs: 10_000 });
    await stage.close();
  });

  test('a compressed image that would not fit once it is expanded is refused before it is', async () => {
    const raw = join(stage.sources, 'text.raw');
    await writeFile(raw, Buffer.alloc(40 * MIB, 'compresses well '));
    const path = join(stage.sources, 'text.qcow2');
    await stage.qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, path);
    expect((await stat(path)).size).toBeLessThan(2 * MIB);
    await expect(stage.prepare(randomUUID(), await fileSource(path))).rejects.toMatchObject({ httpStatus: 503, message: expect.stringMatching(/needs 41943040 bytes/) });
    expect(await readdir(stage.spool)).toEqual([]);
  });

  test('one of unknown size that fills it is stopped, and what it took is given back', async () => {
    const server = createServer((request, response) => {
      response.writeHead(200);
      const pump = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(256 * 1024, 1)));
      };
      if (request.method === 'HEAD') response.end();
      else pump();
      response.on('drain', pump);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const endless = { source: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.raw`, diskFormat: null, hashAlgo: null, hashValue: 'a'.repeat(64) };
      await expect(stage.prepare(randomUUID(), endless)).rejects.toMatchObject({ message: expect.stringMatching(/space/), httpStatus: 503 });
      expect(await readdir(stage.spool)).toEqual([]);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

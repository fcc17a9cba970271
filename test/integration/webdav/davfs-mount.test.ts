import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ServedShare } from '../../unit/webdav/served-share.ts';
import { DavfsMount } from './davfs-mount.ts';

test('trial', async () => {
  const served = await ServedShare.start();
  const guest = await served.invite();
  let mount: DavfsMount | undefined;
  try {
    mount = await DavfsMount.open(guest);
    const data = randomBytes(1 << 20);
    await writeFile(join(mount.mountPoint, 'disk.qcow2'), Buffer.concat(Array(100).fill(data)));
    await mount.unmount();
    console.log(await readdir(mount.cacheDirectory, {recursive:true}));
  } finally {
    await mount?.close();
    console.log(JSON.stringify(served.lines, null, 0).replaceAll('},{','},\n{'));
    console.log(await served.share.received(guest.uuid, 'disk.qcow2'));
    await served.stop();
  }
}, 60_000);

import { randomBytes } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from '@jest/globals';
import { ServedShare, until } from '../../unit/webdav/served-share.ts';
import { DavfsMount } from './davfs-mount.ts';
const show = (s: ServedShare) => process.stdout.write(s.requests.map(l => `${l.method} ${l.path.slice(-12)} ${l.status} ${l.bytes} ${l.ms} ${l.aborted ?? ''}`).join('\n') + '\n' + s.lines.filter(l=>l['msg']!=='share request').map(l=>JSON.stringify(l)).join('\n') + '\n');

test.each([1795, 60])('trial restart lock_refresh %d', async (lock_refresh) => {
  let served = await ServedShare.start({ });
  const guest = await served.invite();
  let mount: DavfsMount | undefined;
  try {
    mount = await DavfsMount.open(guest, { settings: { lock_refresh, dir_refresh: 1 } });
    const data = randomBytes(1 << 20);
    const file = await open(join(mount.mountPoint, 'disk.qcow2'), 'w');
    await file.write(data);
    process.stdout.write('--- before restart\n'); show(served);
    await served.crash();
    const { directory, passwords, port } = served;
    served = await ServedShare.start({ directory, passwords, port });
    for (let i=0;i<50;i++) await file.write(data);
    await new Promise(r => setTimeout(r, 2000)); process.stdout.write('ls ' + await readdir(mount.mountPoint) + '\n');
    if (lock_refresh > 1000) await until(() => served.requests.some(l => l.method === 'LOCK'));
    await file.close();
    process.stdout.write('--- closed\n');
    await mount.unmount();
    process.stdout.write(JSON.stringify(await readdir(mount.cacheDirectory, {recursive:true}))+'\n');
  } finally {
    await mount?.close();
    show(served);
    console.log(await served.share.received(guest.uuid, 'disk.qcow2'));
    await served.stop();
  }
}, 120_000);

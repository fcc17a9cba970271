// Preloaded into a conductor: ends it with SIGKILL the moment it logs that the phase of DIE_AT_PHASE begins, as a power
// cut at that very point would. Nothing in the conductor knows of it.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const marker = `"phase":"${process.env.DIE_AT_PHASE}"`;
for (const name of ['writeSync', 'write']) {
  const original = fs[name];
  fs[name] = function (fd, data, ...rest) {
    const text = typeof data === 'string' ? data : Buffer.isBuffer(data) ? data.toString('utf8') : '';
    if (text.includes(marker) && text.includes('phase begins')) process.kill(process.pid, 'SIGKILL');
    return original.call(this, fd, data, ...rest);
  };
}
syncBuiltinESMExports();

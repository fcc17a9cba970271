import { join } from 'node:path';

/** The conductor as `npm start` and its own first line start it: V8 may keep 2 MiB of young objects instead of 16. */
export const conductorCommand = (dist, configFile) => [process.execPath, '--max-semi-space-size=2', join(dist, 'conductor/main.js'), '--config', configFile];

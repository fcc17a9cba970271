import { join } from 'node:path';

/** The conductor as `npm start` and its own first line start it (docs/decisions/0017). */
export const conductorCommand = (dist, configFile) => [process.execPath, '--max-semi-space-size=2', '--no-memory-reducer', join(dist, 'conductor/main.js'), '--config', configFile];

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The conductor as its own first line starts it, and `npm start` too (docs/decisions/0017). */
export function conductorCommand(dist, configFile) {
  const program = join(dist, 'conductor/main.js');
  return [process.execPath, ...nodeFlags(readFileSync(program, 'utf8')), program, '--config', configFile];
}

/** What the first line of a program hands to Node.js. */
const nodeFlags = (text) => text.slice(0, text.indexOf('\n')).split(' ').filter((word) => word.startsWith('--'));

import { writeFileSync } from 'node:fs';
import { renderStatesPage } from './diagram.ts';

/** `diagram-main.js [FILE]`: writes docs/states.md to the file, or to standard output. */
const file = process.argv[2];
if (file === undefined) process.stdout.write(renderStatesPage());
else writeFileSync(file, renderStatesPage());

import { describe, expect, test } from '@jest/globals';
import { findEnvironmentReads } from './environment-reads.ts';
import { isProgram, judgeImport } from './import-rules.ts';
import { readImports } from './imports.ts';
import { listSources, parseSource, readSource, ROOMS } from './source-files.ts';

const judge = (path: string, text: string): string[] => readImports(parseSource(path, text)).flatMap((found) => judgeImport(found) ?? []);

const FORBIDDEN: readonly (readonly [path: string, text: string])[] = [
  ['state-machine/provision-machine.ts', `import { z } from 'zod';`],
  ['state-machine/provision-states.ts', `import { readFileSync } from 'node:fs';`],
  ['state-machine/provision-states.ts', `import type { Verb } from '../protocol/provision.ts';`],
  ['protocol/provision.ts', `import { provisionMachine } from '../state-machine/provision-machine.ts';`],
  ['protocol/provision.ts', `import { type ProvisionState } from '../state-machine/provision-machine.ts';`],
  ['protocol/provision.ts', `export * from '../state-machine/provision-machine.ts';`],
  ['protocol/provision.ts', `const machine = await import('../state-machine/provision-machine.ts');`],
  ['protocol/provision.ts', `const machine = require('../state-machine/provision-machine.ts');`],
  ['protocol/provision.ts', `import type { NodeRow } from '../conductor/db/rows.ts';`],
  ['webdav/share.ts', `import type { Image } from '../image-service/client.ts';`],
  ['image-service/client.ts', `import type { SnapshotShare } from '../conductor/drivers/interfaces.ts';`],
  ['image-service/embedded/server.ts', `import { Share } from '../../webdav/share.ts';`],
  ['cli/main.ts', `import type { ProvisionState } from '../state-machine/provision-machine.ts';`],
  ['ramdisk-agent/lookup.ts', `type Row = import('../conductor/db/rows.ts').NodeRow;`],
  ['simulator/machine.ts', `import { run } from '../ramdisk-agent/main.ts';`],
  ['demo/main.ts', `import { run } from '../cli/run.ts';`],
  ['conductor/main.ts', `import { changeProvisionState } from './workflow/provision-state.ts';`],
  ['conductor/app.ts', `import { run } from '../cli/run.ts';`],
  ['conductor/app.ts', `import { Agent } from '../ramdisk-agent/agent.ts';`],
  ['conductor/api/routes/nodes.ts', `import { startApp } from '../../app.ts';`],
  ['conductor/api/routes/nodes.ts', `import { loadConfig } from '../../config.ts';`],
  ['conductor/workflow/parts.ts', `import type { Request } from '../api/request-context.ts';`],
  ['conductor/workflow/parts.ts', `import { Share } from '../../webdav/share.ts';`],
  ['conductor/drivers/power/redfish.ts', `import { INTERFACE_KINDS } from '../../db/rows.ts';`],
  ['conductor/drivers/power/redfish.ts', `import type { NodeStore } from '../../db/node-store.ts';`],
  ['conductor/drivers/snapshot/agent.ts', `import type { Workflow } from '../../workflow/workflow.ts';`],
  ['conductor/drivers/snapshot/agent.ts', `import { hasTag } from '../../../state-machine/provision-states.ts';`],
  ['conductor/db/node-store.ts', `import { stepFrom } from '../../state-machine/provision-states.ts';`],
  ['conductor/db/node-store.ts', `import type { PowerDriver } from '../drivers/interfaces.ts';`],
  ['conductor/images/deploy-images.ts', `import type { NodeRow } from '../db/rows.ts';`],
  ['conductor/images/deploy-images.ts', `import { Share } from '../../webdav/share.ts';`],
  ['conductor/images/deploy-images.ts', `import { shapes } from '../drivers/deployment.ts';`],
  ['conductor/workflow/parts.ts', `import { createDeployImages } from '../images/deploy-images.ts';`],
  ['conductor/agent-client.ts', `import type { Workflow } from './workflow/workflow.ts';`],
  ['protocol/errors.ts', `import { until } from '../test/rig/until.ts';`],
  ['new-room/file.ts', `import { z } from 'zod';`],
];

const ALLOWED: readonly (readonly [path: string, text: string])[] = [
  ['state-machine/provision-states.ts', `import { transition } from 'xstate'; import { provisionMachine } from './provision-machine.ts';`],
  ['state-machine/diagram-main.ts', `import { writeFileSync } from 'node:fs';`],
  ['protocol/provision.ts', `import type { ProvisionState } from '../state-machine/provision-machine.ts'; import { z } from 'zod';`],
  ['conductor/main.ts', `import { startApp } from './app.ts'; import { loadConfig } from './config.ts';`],
  ['conductor/app.ts', `import { Share } from '../webdav/share.ts'; import { createApi } from './api/api.ts';`],
  ['conductor/api/routes/nodes.ts', `import type { Workflow } from '../../workflow/workflow.ts'; import { INTERFACE_KINDS } from '../../db/rows.ts';`],
  ['conductor/workflow/work.ts', `import { hasTag } from '../../state-machine/provision-states.ts'; import { NodeStore } from '../db/node-store.ts';`],
  ['conductor/drivers/power/redfish.ts', `import type { NodeRow } from '../../db/rows.ts'; import { messageOf } from '../../../protocol/errors.ts';`],
  ['conductor/images/deploy-images.ts', `import type { DeployImages } from '../drivers/deployment.ts'; import { GlanceClient } from '../../image-service/client.ts';`],
  ['demo/main.ts', `import { Machine } from '../simulator/machine.ts';`],
];

describe('the rooms import each other as DESIGN says', () => {
  test.each(ROOMS)('%s', (room) => {
    const sources = listSources().filter((path) => path.startsWith(`${room}/`));
    expect(sources.flatMap((path) => readImports(readSource(path))).flatMap((found) => judgeImport(found)?.replace(/^/, `${found.place}: `) ?? [])).toEqual([]);
  });

  test.each(FORBIDDEN)('and the check finds a violation: in %s %s', (path, text) => {
    expect(judge(path, text)).toHaveLength(1);
  });

  test.each(ALLOWED)('and the check allows what is allowed: in %s %s', (path, text) => {
    expect(judge(path, text)).toEqual([]);
  });

  test('and every import of a file of the project is seen', () => {
    const text = `import a from './a.ts'; import './b.ts'; import type { C } from './c.ts'; export { d } from './d.ts'; const e = import('./e.ts'); type F = typeof import('./f.ts'); export type { G } from './g.ts';`;
    expect(readImports(parseSource('cli/main.ts', text)).map(({ target, typeOnly }) => ('file' in target ? `${target.file}${typeOnly ? ' type' : ''}` : ''))).toEqual(['cli/a.ts', 'cli/b.ts', 'cli/c.ts type', 'cli/d.ts', 'cli/e.ts', 'cli/f.ts type', 'cli/g.ts type']);
  });
});

describe("arguments and environment are read by a program's first file only", () => {
  test('in all rooms', () => {
    expect(listSources().filter((path) => !isProgram(path)).flatMap((path) => findEnvironmentReads(readSource(path)))).toEqual([]);
  });

  test.each(['conductor/main.ts', 'cli/main.ts', 'ramdisk-agent/main.ts', 'ramdisk-agent/image/main.ts', 'simulator/main.ts', 'demo/main.ts', 'state-machine/diagram-main.ts'])('%s is such a file', (path) => {
    expect(isProgram(path)).toBe(true);
  });

  test.each(['conductor/app.ts', 'conductor/api/main.ts', 'cli/domain.ts', 'cli/main-loop.ts'])('%s is not', (path) => {
    expect(isProgram(path)).toBe(false);
  });

  test.each([
    'const home = process.env.HOME;',
    `const path = process['env']['PATH'];`,
    'const [, , file] = process.argv;',
    'const { env } = process;',
    'const { argv: args } = process;',
    'run({ ...process.env });',
    'const args = globalThis.process.argv;',
    `import { env } from 'node:process';`,
    `import { argv as args } from 'process';`,
    'const name = process[key];',
  ])('the check finds %s', (text) => {
    expect(findEnvironmentReads(parseSource('webdav/share.ts', text))).toHaveLength(1);
  });

  test.each(['process.exitCode = 1;', 'const { env } = options;', 'spawn(program, args, { env: options.env });', `process.on('SIGTERM', stop);`, `process['exitCode'] = 1;`])('the check lets %s be', (text) => {
    expect(findEnvironmentReads(parseSource('webdav/share.ts', text))).toEqual([]);
  });
});

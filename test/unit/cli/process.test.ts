import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { ServiceOfTests, nodeInState, type Answerer } from './service-of-tests.ts';

const LOADER = new URL('./typescript-loader.mjs', import.meta.url).href;
const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

let service: ServiceOfTests;
let child: ChildProcess | undefined;
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await service.stop();
});

/** The command line as a process of its own, as a person or a script starts it. */
async function start(answer: Answerer, ...argv: string[]): Promise<{ ended: Promise<number | null>; said: () => string; printed: () => string; child: ChildProcess }> {
  service = await ServiceOfTests.start(answer);
  const started = spawn(process.execPath, ['--import', LOADER, MAIN, ...argv], { env: { PATH: process.env['PATH'], OS_ENDPOINT: service.url }, stdio: ['ignore', 'pipe', 'pipe'] });
  child = started;
  let stdout = '';
  let stderr = '';
  started.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  started.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(started, 'close').then(([code]) => code as number | null);
  return { ended, said: () => stderr, printed: () => stdout, child: started };
}

test('data goes to stdout, the exit code to the shell', async () => {
  const { ended, said, printed } = await start(() => ({ body: nodeInState('active') }), 'node', 'show', 'gold-1', '-f', 'value', '-c', 'provision_state');
  expect([await ended, printed(), said()]).toEqual([0, 'active\n', '']);
});

test('a failure is a sentence and a code, without a stack trace', async () => {
  const { ended, said, printed } = await start(() => ({ status: 404, body: { error_message: '{"faultstring": "Node x could not be found."}' } }), 'node', 'show', 'x');
  expect([await ended, printed(), said()]).toEqual([4, '', 'baremetal: Node x could not be found.\n']);
});

test('Ctrl-C while waiting ends with 130 and says that the snapshot goes on', async () => {
  let looks = 0;
  const running = await start(
    ({ method }) => {
      if (method === 'PUT') return { status: 202 };
      if (++looks === 2) running.child.kill('SIGINT');
      return { body: nodeInState('snapshot wait') };
    },
    ...['node', 'snapshot', 'gold-1', '--image', '0a1b2c3d-0000-4000-8000-000000000001', '--wait', '--poll-interval', '0.05'],
  );
  expect(await running.ended).toBe(130);
  expect(running.said()).toContain('The snapshot of node gold-1 goes on');
  expect(running.printed()).toBe('');
});

test('output that nobody reads any more ends it quietly, as it ends other programs', async () => {
  const nodes = Array.from({ length: 20_000 }, (_, index) => ({ uuid: `u${index}`, name: `n${index}`, links: [] }));
  const running = await start(() => ({ body: { nodes } }), 'node', 'list', '-f', 'json');
  running.child.stdout?.once('data', () => running.child.stdout?.destroy());
  expect([await running.ended, running.said()]).toEqual([141, '']);
});

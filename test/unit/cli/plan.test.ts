import { afterEach, describe, expect, test } from '@jest/globals';
import type { Plan } from '../../../protocol/plan.ts';
import { IMAGE, startWithImages } from './image-names.ts';
import { cli, type Answer, type CliOptions, type ServiceOfTests } from './service-of-tests.ts';

let service: ServiceOfTests;
afterEach(() => service.stop());

const GIB = 1024 ** 3;
async function start(answer: () => Answer): Promise<void> {
  service = await startWithImages(answer);
}
const run = (argv: string[], options: CliOptions = {}) => cli([...argv, '--os-endpoint', service.url, '--os-image-endpoint', service.url], options);

describe('--plan', () => {
  const plan = (result: 'pass' | 'warn' | 'fail'): Plan => ({
    verb: 'rebuild',
    node_uuid: 'n',
    image: { source: IMAGE, name: 'golden', disk_format: 'qcow2', size_bytes: 2 * GIB, virtual_size_bytes: 10 * GIB },
    target_disk: { name: 'sda', serial: 'S1', wwn: null, size_bytes: 8 * GIB },
    generalize: false,
    result,
    checks: [
      { name: 'boot_mode', result: 'pass', expected: 'uefi', found: 'uefi', message: 'Both boot by UEFI.' },
      { name: 'disk_size', result, expected: '10 GiB', found: '8 GiB', message: 'Give a larger disk.' },
    ],
  });
  const PLAN = ['node', 'restore', 'gold-1', '--image', 'golden', '--plan'];

  test('asks for a dry run and prints what would happen: image, disk, and every check', async () => {
    await start(() => ({ body: { plan: plan('warn') } }));
    const result = await run(PLAN);
    expect(result.exitCode).toBe(0);
    expect(service.received.filter(({ method }) => method === 'PUT')).toMatchObject([{ path: '/v1/nodes/gold-1/states/provision', body: { target: 'rebuild', image_ref: IMAGE, dry_run: true }, version: '1.116' }]);
    expect(result.stderr).toContain('restore of gold-1 would overwrite disk sda (serial S1, 8.00 GiB) with golden (qcow2, 2.00 GiB, 10.0 GiB on the disk)');
    expect(result.stderr).toContain('the restore of node gold-1 could begin now, with warnings: disk_size; nothing was touched');
    expect(result.stdout).toContain('| disk_size | warn   | 10 GiB   | 8 GiB | Give a larger disk. |');
  });

  test('what would be refused ends with 3 and names the checks', async () => {
    await start(() => ({ body: { plan: plan('fail') } }));
    const result = await run(PLAN);
    expect(result.exitCode).toBe(3);
    expect(result.stdout).toContain('| disk_size | fail ');
    expect(result.stderr).toContain('baremetal: the restore of node gold-1 would be refused: disk_size');
  });

  test('of a deployment that touches no disk says so', async () => {
    await start(() => ({ body: { plan: { ...plan('pass'), image: { source: 'none', name: null, disk_format: 'none', size_bytes: null, virtual_size_bytes: null }, target_disk: null } } }));
    expect((await run(PLAN)).stderr).toContain('restore of gold-1 would write no image to a disk\n');
  });

  test.each(['pass', 'fail'] as const)('with -f json the plan is printed as it is: %s', async (result) => {
    await start(() => ({ body: { plan: plan(result) } }));
    const { stdout, exitCode } = await run([...PLAN, '-f', 'json']);
    expect(exitCode).toBe(result === 'fail' ? 3 : 0);
    expect(JSON.parse(stdout)).toEqual(plan(result));
  });

  test('fits a terminal of 80 columns', async () => {
    await start(() => ({ body: { plan: { ...plan('warn'), checks: [{ ...plan('warn').checks[0], message: 'A long sentence that tells what it means. '.repeat(5) }] } } }));
    const { stdout } = await run(PLAN, { stdoutColumns: 80 });
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('on a terminal, what does not pass has below its message what is needed and what was found', async () => {
    await start(() => ({ body: { plan: plan('fail') } }));
    const { stdout, stderr } = await run(PLAN, { stdoutColumns: 80 });
    expect(stdout).toMatch(/\| disk_size \| fail +\| Give a larger disk\. +\|\n\| +\| +\| needed: 10 GiB +\|\n\| +\| +\| found: 8 GiB +\|/);
    expect(stdout).toMatch(/\| boot_mode \| pass +\| Both boot by UEFI\. +\|\n\| disk_size/);
    expect(stderr).toContain('would be refused: disk_size: Give a larger disk.');
  });

  test.each([
    ['nothing, as one that has begun the work does', { status: 202 }],
    ['no checks', { body: { plan: { result: 'pass', image: {}, checks: [] } } }],
    ['a result that is none', { body: { plan: { result: 'fine', image: {}, checks: [{ result: 'pass' }] } } }],
    ['the checks of something else', { body: { checks: { state: { result: true } } } }],
  ])('is never taken for passed when the service answers %s', async (_what, answer) => {
    await start(() => answer);
    expect(await run(PLAN)).toMatchObject({ exitCode: 6, stdout: '' });
  });
});

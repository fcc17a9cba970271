import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../../../ramdisk-agent/image/root', import.meta.url));
const SCRIPTS = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.sh') || /^(init|opt\/metalshot\/|usr\/share\/udhcpc\/)/.test(path)).filter((path) => !/^(opt|usr)(\/\w+)*$/.test(path) || /metalshot\/\w+$/.test(path));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metalshot-init-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Runs text in the ramdisk's own shell, with its functions. */
function run(text: string, commandLine = ''): { status: number | null; stdout: string } {
  const file = join(directory, 'cmdline');
  writeFileSync(file, `${commandLine}\n`);
  const sources = ['command-line', 'console', 'interfaces'].map((name) => `. ${ROOT}/opt/metalshot/${name}.sh`).join('; ');
  const { status, stdout } = spawnSync('busybox', ['sh', '-c', `${sources}; ${text}`], { encoding: 'utf8', env: { PATH: process.env.PATH, COMMAND_LINE: file, SYS_NET: join(directory, 'net') } });
  return { status, stdout: stdout.trim() };
}

function addInterface(name: string, address: string, isHardware = true): void {
  mkdirSync(join(directory, 'net', name, ...(isHardware ? ['device'] : [])), { recursive: true });
  writeFileSync(join(directory, 'net', name, 'address'), `${address}\n`);
}

describe("the ramdisk's scripts", () => {
  test.each(SCRIPTS)('%s is what busybox understands', (path) => {
    expect(spawnSync('busybox', ['sh', '-n', join(ROOT, path)], { encoding: 'utf8' }).stderr).toBe('');
  });

  test('are all started by init, or by what init starts', () => {
    const started = readFileSync(join(ROOT, 'etc/inittab'), 'utf8');
    const programs = readdirSync(join(ROOT, 'opt/metalshot')).filter((name) => !name.endsWith('.sh'));
    expect(programs.filter((name) => !started.includes(`:/opt/metalshot/${name}\n`))).toEqual([]);
  });
});

describe('the kernel command line', () => {
  test('gives the last value of a name, as it is', () => {
    expect(run('parameter metalshot-ip', 'quiet metalshot-ip=1 x metalshot-ip=10.0.0.1/24,10.0.0.254 metalshot-ipx=2').stdout).toBe('10.0.0.1/24,10.0.0.254');
    expect(run('parameter a', 'a=*').stdout).toBe('*');
    expect(run('parameter metalshot-vlan', 'quiet').stdout).toBe('');
  });

  test.each([
    ['metalshot-shell', 0],
    ['metalshot-shell=1', 0],
    ['metalshot-shellfish', 1],
    ['', 1],
  ])('%j: a shell is wanted with exit code %d', (commandLine, status) => {
    expect(run('has_parameter metalshot-shell', commandLine).status).toBe(status);
  });

  test.each([
    ['BOOTIF=01-52-54-00-AA-bb-0c', '52:54:00:aa:bb:0c'],
    ['BOOTIF=20-52-54-00-aa-bb-0c', ''],
    ['BOOTIF=52:54:00:aa:bb:0c', ''],
    ['BOOTIF=01-52-54-00-aa-bb', ''],
    ['', ''],
  ])('%s names the interface "%s"', (commandLine, address) => {
    expect(run('boot_address', commandLine).stdout).toBe(address);
  });
});

describe('network interfaces', () => {
  test('are found by address, and only those with a device behind them', () => {
    addInterface('eth0', '52:54:00:00:00:01');
    addInterface('eth1', '52:54:00:00:00:02');
    addInterface('bond0', '52:54:00:00:00:02', false);
    expect(run('hardware_interfaces').stdout.split('\n')).toEqual(['eth0', 'eth1']);
    expect(run('interface_of 52:54:00:00:00:02').stdout).toBe('eth1');
    expect(run('has_interface 52:54:00:00:00:03').status).toBe(1);
  });

  test('that appear late are waited for, but not for ever', () => {
    const late = `( sleep 1; mkdir -p "$SYS_NET/eth5/device"; echo 52:54:00:00:00:05 > "$SYS_NET/eth5/address" ) & wait_for 20 has_interface 52:54:00:00:00:05`;
    expect(run(late).status).toBe(0);
    expect(run('wait_for 1 has_interface 52:54:00:00:00:06').status).toBe(1);
  });
});

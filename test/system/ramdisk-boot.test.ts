import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeWhere } from '../machine-needs.ts';
import { ramdiskFile } from '../rig/ramdisk-directory.ts';
import { until } from '../rig/until.ts';

const BOOT_TIMEOUT_MS = 10 * 60_000;
const MAC = '52:54:00:aa:bb:cc';

describeWhere(['root'], 'the ramdisk in a machine with 1 GiB of memory', () => {
  let machine: ChildProcess;
  let serial = '';
  beforeAll(() => {
    const commandLine = ['console=tty0', 'console=ttyS0,115200', 'panic=10', 'ipa-api-url=https://10.0.2.99:6385', `BOOTIF=01-${MAC.replaceAll(':', '-')}`, 'metalshot-ip=10.0.2.15/24,10.0.2.2', 'metalshot-shell'];
    machine = spawn('qemu-system-x86_64', [
      ...['-machine', 'pc,accel=tcg', '-cpu', 'qemu64', '-m', '1024', '-no-reboot', '-nodefaults', '-display', 'none', '-serial', 'stdio'],
      ...['-kernel', ramdiskFile('vmlinuz'), '-initrd', ramdiskFile('initramfs'), '-append', commandLine.join(' ')],
      ...['-netdev', 'user,id=n0,restrict=on', '-device', `virtio-net-pci,netdev=n0,mac=${MAC},romfile=`, '-object', 'rng-random,id=r0', '-device', 'virtio-rng-pci,rng=r0'],
    ]);
    for (const stream of [machine.stdout!, machine.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (serial += text.replaceAll('\r', '')));
  });
  afterAll(async () => {
    if (machine?.exitCode === null && machine.signalCode === null) {
      const ended = once(machine, 'exit');
      machine.kill('SIGKILL');
      await ended;
    }
  });

  /** Not from the begin of a line: the shell's prompt may stand there. */
  const shown = (pattern: RegExp) => until(`the serial console shows ${String(pattern)}`, () => pattern.exec(serial), BOOT_TIMEOUT_MS, () => serial.slice(-4_000));
  const type = (line: string) => machine.stdin!.write(`${line}\n`);
  /** What a command prints, by the shell on the serial console. */
  const ask = async (command: string): Promise<string> => {
    const mark = `mark${serial.length}`;
    type(`echo ${mark}:$(${command}):${mark}`);
    return (await shown(new RegExp(`${mark}:([^$:]*):${mark}`)))[1]!; // not the echo of the command, which has a $
  };

  test(
    'brings up the interface of BOOTIF, and the agent looks its node up and says on the console that nobody answers',
    async () => {
      await shown(/metalshot: ramdisk Metalshot \S+ cloud/m);
      await shown(/metalshot: eth0 has the address 10\.0\.2\.15\/24$/m);
      await shown(/metalshot: agent: .*agent is listening.*10\.0\.2\.15/m);
      await shown(/metalshot: agent: .*(lookup|look).*10\.0\.2\.99/m);
      type('dmesg -n 1'); // the kernel does not talk in between
      expect(await ask('ip route | head -n 1')).toMatch(/^default via 10\.0\.2\.2 dev eth0/);
      expect(await ask('ls /dev/watchdog0 /dev/fuse /dev/loop-control | wc -l')).toBe('3');
    },
    BOOT_TIMEOUT_MS,
  );

  test(
    'starts the agent again when it has died, and leaves no zombies',
    async () => {
      const before = await ask('cat /run/metalshot/agent.pid');
      type(`kill -KILL ${before}`);
      await shown(/metalshot: the agent has ended with code 137; it is started again in 1 s$/m);
      const after = await until('another agent', async () => [await ask('cat /run/metalshot/agent.pid')].find((pid) => pid !== before), BOOT_TIMEOUT_MS);
      expect(await ask(`ls -d /proc/${after}`)).toBe(`/proc/${after}`);
      type('( ( sleep 1 ) & )'); // its parent is gone before it ends
      await until('no zombie', async () => (await ask(`grep -l '^State:.Z' /proc/[0-9]*/status | wc -l`)) === '0', BOOT_TIMEOUT_MS);
    },
    BOOT_TIMEOUT_MS,
  );

  test(
    'resets the machine when it is told to, at once',
    async () => {
      const ended = once(machine, 'exit');
      type('/sbin/reboot -f');
      expect(await ended).toEqual([0, null]); // -no-reboot: a reset ends the process
      expect(serial).toMatch(/reboot: Restarting system/);
    },
    BOOT_TIMEOUT_MS,
  );
});

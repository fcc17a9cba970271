// Stands in for the ramdisk agent: says on the host that it runs, and what it sees; leaves an orphan and a mount behind.
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

const config = JSON.parse(readFileSync(process.argv[process.argv.indexOf('--config') + 1], 'utf8'));
const disk = openSync(config.devices[0].path, 'r+'); // held open, as a capture does
const memory = `${config.run_directory}/memory`;
const remembered = existsSync(memory);
writeFileSync(memory, 'written by an earlier agent of this boot');
execFileSync('mount', ['-t', 'tmpfs', config.marker, '/mnt']);
const orphan = spawn('sh', ['-c', 'exec sleep 1000', config.marker], { detached: true, stdio: 'inherit' });
orphan.unref();
// A process whose parent has gone when it ends: PID 1 has to reap it.
execFileSync('sh', ['-c', 'sh -c "exit 0" &']);
const readStat = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return ''; // it ended while we looked
  }
};
const listProcesses = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(readStat);
let processes = listProcesses();
for (let look = 0; look < 500 && processes.some((stat) => stat.includes(') Z ')); look += 1) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10); // PID 1 reaps in its own time
  processes = listProcesses();
}
console.log(`stand-in runs as ${process.pid}`);
appendFileSync(config.marker, `${JSON.stringify({ pid: process.pid, ppid: process.ppid, remembered, disk, addresses: config.addresses, devices: config.devices, hardware: config.hardware, processes })}\n`);
setInterval(() => {
  if (existsSync(`${config.marker}.die`)) process.exit(7);
  if (existsSync(`${config.marker}.reset`)) execFileSync(config.reboot_command[0], config.reboot_command.slice(1));
}, 20);

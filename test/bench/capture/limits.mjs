import { ROW } from './rows.mjs';

/** See docs/benchmarks.md, "Aims of the captures". */
const AIMS = { cpuOfConvert: 1 / 3, wallOfConvert: 1, wallGoal: 1 / 3, fasterThanMount: 8, pipeline: 1.3, relay: 1.15, agentBytes: 150e6, conductorBytes: 200e6 };
const STREAMS = 8;
const MEGABYTE = 1e6;

/**
 * The aims and what was found of them, each with the stage that bounds it.
 * @param rows medians as `summarize` makes them. @param large figures of the disk of 64 GiB. @param cpus processors of this machine.
 * @returns {{aim: string, found: number, limit: number, unit: string, reached: boolean, boundBy: string}[]}
 */
export function judge(rows, large, cpus) {
  const of = (row, machines = 1) => rows.find((one) => one.row === row && one.machines === machines);
  const [convert, mount, toNull, reading, mac, tcp, writing] = [ROW.convert, ROW.mount, ROW.toNull, ROW.reading, ROW.mac, ROW.tcp, ROW.writing].map((row) => of(row));
  const stages = { 'reading the used bytes': reading.wallS, 'proof of what is sent': mac.wallS, 'loopback TCP': tcp.wallS };
  const verdicts = [];
  const atMost = (aim, found, limit, unit, boundBy) => verdicts.push({ aim, found, limit, unit, reached: found <= limit, boundBy });
  for (const row of [ROW.toSpool, ROW.toSpoolTls]) {
    const spool = of(row);
    const bound = slowest({ ...stages, 'writing to the spool': writing.wallS, 'CPU of both ends': spool.cpuS / cpus });
    const costs = { 'reading the used bytes': reading.cpuS, 'proof at both ends': 2 * mac.cpuS, 'loopback TCP': tcp.cpuS, 'writing to the spool': writing.cpuS };
    const least = Object.values(costs).reduce((sum, cpuS) => sum + cpuS, 0);
    atMost(`${row}: CPU of qemu-img convert's`, spool.cpuS / convert.cpuS, AIMS.cpuOfConvert, 'x', `${slowest(costs)} of CPU, ${least.toFixed(2)} s of all stages alone`);
    atMost(`${row}: wall of qemu-img convert's`, spool.wallS / convert.wallS, AIMS.wallOfConvert, 'x', bound);
    atMost(`${row}: wall of qemu-img convert's, goal`, spool.wallS / convert.wallS, AIMS.wallGoal, 'x', bound);
    atMost(`${row}: wall of the mount's`, spool.wallS / mount.wallS, 1 / AIMS.fasterThanMount, 'x', bound);
  }
  const whole = { ...stages, 'CPU of both ends': toNull.cpuS / cpus };
  atMost(`${ROW.toNull}: wall of the larger of slowest stage and CPU`, toNull.wallS / Math.max(...Object.values(whole)), AIMS.pipeline, 'x', slowest({ ...whole, 'map and measurement before the first byte': toNull.wallS - toNull.transferS }));
  atMost(`${ROW.toNull}: the same, from the first byte on`, toNull.transferS / Math.max(...Object.values(whole)), AIMS.pipeline, 'x', slowest(whole));
  for (const [relayed, uploaded] of [[ROW.relay, ROW.upload], [ROW.relayGlance, ROW.uploadGlance]]) {
    const [relay, upload] = [of(relayed), of(uploaded)];
    if (relay === undefined) continue;
    const alone = { 'capture alone': toNull.wallS, 'upload alone': upload.wallS };
    atMost(`${relayed}: wall of the slower of capture and upload alone`, relay.wallS / Math.max(...Object.values(alone)), AIMS.relay, 'x', slowest({ ...alone, 'CPU of all ends': relay.cpuS / cpus }));
  }
  const agentBytes = Math.max(...rows.filter(({ row }) => row !== ROW.mount).map((row) => row.peakBytes.agent ?? 0));
  atMost('peak RSS of the agent, all streams', agentBytes / MEGABYTE, AIMS.agentBytes / MEGABYTE, 'MB', '');
  const most = rows.filter(({ row }) => row === ROW.toSpool || row === ROW.relay).toSorted((one, other) => other.machines - one.machines)[0].machines;
  const conductorBytes = Math.max(...[ROW.toSpool, ROW.relay].map((row) => of(row, most).peakBytes.conductor));
  atMost(`peak RSS of the conductor, ${most} stream(s)${most === STREAMS ? '' : ` of ${STREAMS}`}`, conductorBytes / MEGABYTE, AIMS.conductorBytes / MEGABYTE, 'MB', '');
  atMost('peak RSS of the agent, disk of 64 GiB', large.ends.agent.peakBytes / MEGABYTE, AIMS.agentBytes / MEGABYTE, 'MB', '');
  return verdicts;
}

/** The name of the largest, with its seconds. */
function slowest(seconds) {
  const [name, longest] = Object.entries(seconds).toSorted(([, one], [, other]) => other - one)[0];
  return `${name}, ${longest.toFixed(2)} s`;
}

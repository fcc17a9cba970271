import type { DemoResult } from './demo.ts';
import { formatBytes } from './step-report.ts';

/** The result for a person, aligned. */
export function summarize(result: DemoResult, totalSeconds: number, kept: boolean): string {
  const rows: [string, string][] = [
    ['image', result.image_id],
    ['size', `${formatBytes(result.bytes)} (${result.bytes} bytes), of a disk of ${formatBytes(result.disk_bytes)}`],
    [result.os_hash_algo, result.os_hash_value],
    ['identical', `yes: every byte that it holds, and all ${result.files} files; ${formatBytes(result.left_out_bytes)} of deleted data are not in it`],
    ['duration', `${result.duration_s.toFixed(1)} s`],
    ['downtime', `${result.downtime_s.toFixed(1)} s`],
    ['throughput', `${formatBytes(result.disk_bytes / result.duration_s)}/s of disk, ${formatBytes(result.bytes / result.duration_s)}/s of image`],
    ['restored', `yes, in ${result.restore_duration_s.toFixed(1)} s, and proven as the image was`],
    ['server', `${result.provision_state}, runs from its own disk`],
    ['left behind', kept ? 'what was to be kept' : 'nothing'],
    ['whole demo', `${totalSeconds.toFixed(1)} s`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

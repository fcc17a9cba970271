/** What a restore or a deployment would do, told before anything is touched. The wire's own names. */
export type PlanResult = 'pass' | 'warn' | 'fail';

export interface PlanCheck {
  /** For example `disk_size`. */
  name: string;
  result: PlanResult;
  /** What the image needs, and what the node has, in words; null where it is not known. */
  expected: string | null;
  found: string | null;
  /** A sentence for a person: what it means, and for `warn` and `fail` what to do. */
  message: string;
}

export interface Plan {
  verb: 'deploy' | 'rebuild';
  node_uuid: string;
  image: { source: string; name: string | null; disk_format: string; size_bytes: number | null; virtual_size_bytes: number | null };
  /** The disk that would be overwritten, as far as it is known. */
  target_disk: { name: string | null; serial: string | null; wwn: string | null; size_bytes: number | null } | null;
  generalize: boolean;
  /** The worst of the checks: with `fail` the real request is refused. */
  result: PlanResult;
  checks: PlanCheck[];
}

import type { Exchange } from './ironic-recording.ts';

/** Where our reply is meant to be another one than Ironic's; docs/ironic-differences.md tells them to users. */
export interface Difference {
  about: string;
  method: string;
  path: RegExp;
  /** Text that the body has to hold. */
  body?: string;
  /** What Ironic answered. */
  theirs: number;
  /** What we answer. */
  status: number;
}

export const DIFFERENCES: readonly Difference[] = [
  { about: 'filters that are newer than the version', method: 'GET', path: /^\/v1\/nodes\?(retired=True|description_contains=x)$/, theirs: 200, status: 406 },
  { about: 'detail at a version that does not have it', method: 'GET', path: /\?detail=True$/, theirs: 400, status: 406 },
  { about: 'traits at a version that does not have them', method: 'GET', path: /\/traits$/, theirs: 406, status: 404 },
  { about: 'protecting a node that is not in use', method: 'PATCH', path: /^\/v1\/nodes\//, body: '/protected', theirs: 409, status: 400 },
];

export const differenceOf = ({ method, path, body, reply }: Exchange): Difference | undefined =>
  DIFFERENCES.find((one) => one.method === method && one.theirs === reply.status && one.path.test(path) && (one.body === undefined || JSON.stringify(body).includes(one.body)));

/** What an If header is held against. */
export interface LockedState {
  /** Of the locks on the file. */
  tokens: readonly string[];
  etag: string;
}

interface Condition {
  isNegated: boolean;
  /** A lock token, or an entity tag in quotes. */
  value: string;
  isEtag: boolean;
}

const NO_LOCK = 'DAV:no-lock';
const LIST = /\(([^()]*)\)/g;
const CONDITION = /(not\s+)?(?:<([^<>]*)>|\[([^[\]]*)\])/gi;

/** The lock tokens that a request shows. (RFC 4918, 10.4: being named in any list is enough) */
export function submittedTokens(header: string | undefined): string[] {
  return parseLists(header).flatMap((list) => list.filter((condition) => !condition.isEtag && condition.value !== NO_LOCK).map((condition) => condition.value));
}

/**
 * Whether an If header (RFC 4918, 10.4) lets the request pass: one of its lists holds. Resource tags are not looked at: a request
 * of ours concerns one file. A token on a file without any lock counts as its own: locks do not survive a restart of the
 * conductor, and the one writer of the directory must be able to go on with the token that it was given.
 */
export function ifHeaderHolds(header: string | undefined, state: LockedState): boolean {
  const lists = parseLists(header);
  return lists.length === 0 || lists.some((list) => list.every((condition) => holds(condition, state) !== condition.isNegated));
}

function holds(condition: Condition, state: LockedState): boolean {
  if (condition.isEtag) return condition.value === state.etag;
  if (condition.value === NO_LOCK) return false;
  return state.tokens.length === 0 || state.tokens.includes(condition.value);
}

function parseLists(header: string | undefined): Condition[][] {
  return [...(header ?? '').matchAll(LIST)].map(([, list = '']) =>
    [...list.matchAll(CONDITION)].map(([, not, token, etag]) => ({ isNegated: not !== undefined, value: token ?? etag ?? '', isEtag: etag !== undefined })),
  );
}

/** If-Match and If-None-Match (RFC 9110, 13.1). */
export function entityTagsHold(headers: { ifMatch?: string | undefined; ifNoneMatch?: string | undefined }, state: { etag: string; exists: boolean }): boolean {
  const names = (header: string): boolean => (header.trim() === '*' ? state.exists : header.split(',').some((tag) => tag.trim() === state.etag));
  return (headers.ifMatch === undefined || names(headers.ifMatch)) && (headers.ifNoneMatch === undefined || !names(headers.ifNoneMatch));
}

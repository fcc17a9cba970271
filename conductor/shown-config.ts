const MASK = '******';
/** Keys that hold a secret themselves; `password_file` and the like say only where one is. */
const SECRET_KEY = /(^|_)(password|secret|token)$/;

/** A configuration as people may see it: every secret, also one within a URL, reads `******`. */
export function shownConfig(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => shownConfig(one));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shownConfig(inner, name)]));
  if (typeof value !== 'string') return value;
  return SECRET_KEY.test(key) ? MASK : value.replace(/(\/\/[^/@\s]*:)[^/@\s]*@/g, `$1${MASK}@`);
}

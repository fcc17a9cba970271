import { UsageError } from './exit-code.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Empty variables count as unset, as in shells. */
export const variable = (env: Environment, name: string): string | undefined => env[name] || undefined;

/** The address of a service without what `suffix` matches at its end. @throws UsageError that names `setting`, never the address: it may hold a password. */
export function readUrl(text: string, setting: string, suffix: RegExp): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw new UsageError(`${setting} expects an http:// or https:// address`);
  if (url.username !== '' || url.password !== '') throw new UsageError(`${setting} must not hold credentials; use OS_USERNAME and OS_PASSWORD`);
  if (url.search !== '' || url.hash !== '') throw new UsageError(`${setting} must end with its path`);
  return url.href.replace(suffix, '');
}

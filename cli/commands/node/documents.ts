import { readFile, stat } from 'node:fs/promises';
import type { Json } from '../../../protocol/json.ts';
import { messageOf } from '../../../protocol/errors.ts';
import type { Arguments } from '../../arguments.ts';
import { UsageError } from '../../exit-code.ts';
import { parseJsonArgument } from '../../key-value.ts';

/** JSON itself, the name of a file that holds it, or `-` for standard input; undefined when the option was not given. */
export async function readDocument(args: Arguments, option: string): Promise<Json | undefined> {
  const text = args.text(option);
  if (text === undefined) return undefined;
  if (/^\s*[[{]/.test(text)) return parseJsonArgument(text, option);
  return parseJsonArgument(await readText(text === '-' ? '/dev/stdin' : text, option), option);
}

/** A config drive: a JSON object, the drive itself gzipped and in base64, or a file that holds either. */
export async function readConfigDrive(args: Arguments): Promise<Json | undefined> {
  const given = args.text('config-drive');
  if (given === undefined) return undefined;
  const text = isJsonObject(given) || (looksEncoded(given) && !(await isThere(given))) ? given : await readText(given, 'config-drive');
  return isJsonObject(text) ? parseJsonArgument(text, 'config-drive') : text.trim();
}

const isJsonObject = (text: string): boolean => /^\s*\{/.test(text);
/** A gzip file begins with 1f 8b 08: `H4sI` in base64. */
const looksEncoded = (text: string): boolean => /^H4sI[A-Za-z0-9+/=\s]+$/.test(text);
const isThere = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // whatever the reason, it cannot be read: then it is the text itself

async function readText(path: string, option: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--${option}: cannot read the file: ${messageOf(error)}`);
  }
}

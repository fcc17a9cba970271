/**
 * Reads the record (`index`) that davfs2 1.6 writes into its cache when it ends. A file that the server has whole is a
 * `d:reg` of its own; one that it refused has moved under `d:backup` (the mount's lost+found); one that could not be sent
 * still carries `d:dirty` or `d:remote_exists`. davfs2 itself reports none of that: umount exits 0 in all three cases.
 * Its `d:size` is no witness: it may still be an earlier size of a file that was sent whole (seen once in some seven
 * captures). How much arrived is for the conductor to compare, with the size and digest that the agent reports.
 * @returns what is wrong, for a person; null when the image was stored and nothing else is left.
 */
export function judgeDavfsIndex(index: string, imageName: string): string | null {
  if (!index.trimEnd().endsWith('</d:root>')) return "the record of davfs2 is cut off: its cache was full, or it was killed";
  const files = [...index.replace(/<d:backup>.*<\/d:backup>/s, '').matchAll(REGULAR_FILE)].map((match) => match[1]!);
  const refused = [...(/<d:backup>(.*)<\/d:backup>/s.exec(index)?.[1] ?? '').matchAll(REGULAR_FILE)].map((match) => textOf(match[1]!, 'name'));
  if (refused.length > 0) return `the share refused the image (quota, permission or a lock), davfs2 has left it in lost+found as ${refused.join(', ')}`;
  const unsent = files.filter((file) => /<d:(dirty|remote_exists|lock_expire)>/.test(file)).map((file) => textOf(file, 'name'));
  if (unsent.length > 0) return `the share went away or did not answer, davfs2 has left unsent in its cache: ${unsent.join(', ')}`;
  const [file, ...others] = files;
  if (file === undefined) return 'davfs2 has no record of the image';
  if (others.length > 0 || textOf(file, 'name') !== imageName) return `expected only ${imageName} in the record of davfs2, found ${files.map((each) => textOf(each, 'name')).join(', ')}`;
  return null;
}

const REGULAR_FILE = /<d:reg>(.*?)<\/d:reg>/gs;

function textOf(element: string, name: string): string {
  const text = new RegExp(`<d:${name}>(.*?)</d:${name}>`, 's').exec(element)?.[1] ?? '';
  return /^<!\[CDATA\[(.*)\]\]>$/s.exec(text)?.[1] ?? text;
}

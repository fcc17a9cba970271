import { streamImageParamsSchema } from '../protocol/agent-api.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const fileNameSchema = streamImageParamsSchema.shape.image_name;

/** What a URL of the share names: a snapshot's directory (`name` null) or something directly in it. */
export interface ShareTarget {
  snapshotUuid: string;
  name: string | null;
}

export const isSnapshotUuid = (text: string): boolean => UUID.test(text);

/** Whether a file may have this name: one plain level, no leading dot, as the agent's API has it for images. */
export const isFileName = (name: string): boolean => fileNameSchema.safeParse(name).success;

/**
 * Reads the path of a request, undecoded as it came, below the path of the mount.
 * @returns null for everything that is no directory of a snapshot and nothing directly in one; `..`, encoded
 *   separators and malformed escapes are among it. A `name` may still not be a file name: ask `isFileName`.
 */
export function parseSharePath(originalUrl: string, mountPath: string): ShareTarget | null {
  const path = originalUrl.split(/[?#]/, 1)[0] ?? '';
  if (!path.startsWith(`${mountPath}/`)) return null;
  const [snapshotUuid = '', encodedName = '', ...deeper] = path.slice(mountPath.length + 1).split('/');
  if (!isSnapshotUuid(snapshotUuid)) return null;
  if (deeper.length > 0) return null;
  const name = decodeSegment(encodedName);
  if (name === null || name === '.' || name === '..' || /[/\\\0]/.test(name)) return null;
  return { snapshotUuid, name: name === '' ? null : name };
}

function decodeSegment(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null; // a malformed escape names nothing that exists
  }
}

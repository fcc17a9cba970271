import { UUID_PATTERN } from '../../../protocol/provision.ts';
import { segment } from '../../api-client.ts';
import type { CommandContext } from '../../command.ts';
import { plainText } from '../../output.ts';

/** The API wants a node's UUID where a record names its node; a person may give the name. */
export async function nodeUuidOf({ api }: CommandContext, ident: string): Promise<string> {
  if (UUID_PATTERN.test(ident)) return ident;
  return plainText((await api.getObject(`/v1/nodes/${segment(ident)}?fields=uuid`)).uuid);
}

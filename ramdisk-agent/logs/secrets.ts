const HIDDEN = '******';
/** Members and parameters whose values nobody may see, whatever they are: `metalshot-boot-nonce=…`, `ipa-agent-token=…`, `agent_token=…`. */
const SECRET_ASSIGNMENT = /([A-Za-z0-9_.-]{0,64}(?:nonce|token|passw(?:or)?d|secret)[A-Za-z0-9_.-]{0,64}=)("[^"]*"|[^\s&"]+)/gi;
/** Shorter values would hide half of a text, and are no secrets. */
const SHORTEST_SECRET = 8;

/** The text without these values and without what is assigned to a name of a secret. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  const without = secrets.filter((secret) => secret.length >= SHORTEST_SECRET).reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
  return without.replace(SECRET_ASSIGNMENT, `$1${HIDDEN}`);
}

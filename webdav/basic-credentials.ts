/** Longer than any credential that we give out; what is longer is not decoded. */
const HEADER_LIMIT_CHARACTERS = 1024;

/**
 * The pair of an `Authorization: Basic` header, or null when there is none that can be read. (RFC 7617)
 * Nothing is compared here: whose pair it is, and that a look-up takes the same time for every wrong one, is the business
 * of the port `ShareCredentials` (it looks up a digest of the password).
 */
export function parseBasicCredentials(header: string | undefined): { username: string; password: string } | null {
  if (header === undefined || header.length > HEADER_LIMIT_CHARACTERS) return null;
  const encoded = /^basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(header)?.[1];
  if (encoded === undefined) return null;
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? null : { username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

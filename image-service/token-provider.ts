/** Where the client gets the token for its requests. Keystone becomes a third implementation. */
export interface TokenProvider {
  /** The value of `X-Auth-Token`; undefined: the header is not sent. Asked before every request. */
  token(): Promise<string | undefined>;
  /** Project of the token, which is the owner of images it creates; null without authentication. */
  projectId(): Promise<string | null>;
}

/** For an image service without authentication. */
export const noToken: TokenProvider = {
  token: () => Promise.resolve(undefined),
  projectId: () => Promise.resolve(null),
};

/** A token made elsewhere, for as long as it lives. */
export const staticToken = (token: string, projectId: string | null = null): TokenProvider => ({
  token: () => Promise.resolve(token),
  projectId: () => Promise.resolve(projectId),
});

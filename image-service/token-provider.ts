/** Where the client gets the token for its requests. */
export interface TokenProvider {
  /**
   * The value of `X-Auth-Token`; undefined: the header is not sent. Asked before every request.
   * @param minimumLifeMs for how long the request may need it; a provider that makes tokens makes a new one rather than give one that ends before, as far as its tokens live that long.
   */
  token(minimumLifeMs?: number): Promise<string | undefined>;
  /** Project of the token, which is the owner of images it creates; null without authentication. */
  projectId(): Promise<string | null>;
  /** The service has rejected this token: `token` gives another one now. Absent where there is no other. */
  reject?(token: string): void;
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

interface Secret {
  /** Read whenever a token is made, so that a changed file counts from then on. @throws InvalidParameterError naming its configuration key. */
  secret: () => Promise<string>;
}

/** Who we are to Keystone v3. */
export type KeystoneCredentials = Secret &
  ({ kind: 'password'; username: string; userDomainName: string; projectName: string; projectDomainName: string } | { kind: 'application credential'; id: string });

/** Body of `POST /v3/auth/tokens`. An application credential has its project in itself. */
export async function authenticationRequest(credentials: KeystoneCredentials): Promise<object> {
  const secret = await credentials.secret();
  if (credentials.kind === 'application credential') return { auth: { identity: { methods: ['application_credential'], application_credential: { id: credentials.id, secret } } } };
  const { username, userDomainName, projectName, projectDomainName } = credentials;
  return {
    auth: {
      identity: { methods: ['password'], password: { user: { name: username, domain: { name: userDomainName }, password: secret } } },
      scope: { project: { name: projectName, domain: { name: projectDomainName } } },
    },
  };
}

/** Who it is, without the secret. */
export function describeCredentials(credentials: KeystoneCredentials): string {
  if (credentials.kind === 'application credential') return `application credential ${credentials.id}`;
  const { username, userDomainName, projectName, projectDomainName } = credentials;
  return `user ${username} (domain ${userDomainName}) in project ${projectName} (domain ${projectDomainName})`;
}

/** What a person may have got wrong, by configuration key. */
export const keysToCheck = ({ kind }: KeystoneCredentials, configKey: string): string =>
  kind === 'application credential'
    ? `check ${configKey}.application_credential_id and its secret, and that it has not ended`
    : `check ${configKey}.username, its password, project_name and the domains, and that the user has a role in the project`;

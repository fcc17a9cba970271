import type { AxiosInstance, AxiosResponse } from 'axios';
import { createHttpClient } from '../../protocol/http-client.ts';

export interface Person {
  name: string;
  password: string;
  id: string;
}
type Scope = { project: string } | { system: true } | 'none';

/** What an administrator does at a Keystone: all in the domain `Default`. */
export class KeystoneDirectory {
  readonly #http: AxiosInstance;
  readonly #adminPassword: string;
  #adminToken: string | undefined;

  constructor(authUrl: string, adminPassword: string) {
    this.#http = createHttpClient({ baseURL: authUrl, timeoutMs: 30_000 });
    this.#adminPassword = adminPassword;
  }

  /** Returns its id. */
  async project(name: string): Promise<string> {
    return (await this.#administer('POST', '/projects', { project: { name, domain_id: 'default' } })).project?.['id'] as string;
  }

  async user(name: string, password = `password of ${name}`): Promise<Person> {
    const { user } = await this.#administer('POST', '/users', { user: { name, password, domain_id: 'default' } });
    return { name, password, id: user?.['id'] as string };
  }

  async grant(person: Person, role: string, scope: { projectId: string } | 'system'): Promise<void> {
    const roleId = await this.#role(role);
    await this.#administer('PUT', scope === 'system' ? `/system/users/${person.id}/roles/${roleId}` : `/projects/${scope.projectId}/users/${person.id}/roles/${roleId}`);
  }

  /** As an administrator: tokens that the person has are none from now on. */
  async changePassword(person: Person, password: string): Promise<void> {
    await this.#administer('PATCH', `/users/${person.id}`, { user: { password } });
  }

  async disable(person: Person): Promise<void> {
    await this.#administer('PATCH', `/users/${person.id}`, { user: { enabled: false } });
  }

  async service(type: string, url: string, region = 'RegionOne'): Promise<void> {
    const { service } = await this.#administer('POST', '/services', { service: { type, name: type } });
    await this.#administer('POST', '/endpoints', { endpoint: { service_id: service?.['id'], interface: 'public', region_id: region, url } });
  }

  /** A credential with which the person acts in the project, without a password. */
  async applicationCredential(person: Person, project: string): Promise<{ id: string; secret: string }> {
    const { application_credential: made } = await this.#request('POST', `/users/${person.id}/application_credentials`, await this.token(person, { project }), { application_credential: { name: `of ${person.name}` } });
    return { id: made?.['id'] as string, secret: made?.['secret'] as string };
  }

  async removeApplicationCredential(person: Person, project: string, id: string): Promise<void> {
    await this.#request('DELETE', `/users/${person.id}/application_credentials/${id}`, await this.token(person, { project }));
  }

  async token({ name, password }: Pick<Person, 'name' | 'password'>, scope: Scope): Promise<string> {
    const asked = scope === 'none' ? 'unscoped' : 'project' in scope ? { project: { name: scope.project, domain: { id: 'default' } } } : { system: { all: true } };
    const body = { auth: { identity: { methods: ['password'], password: { user: { name, domain: { id: 'default' }, password } } }, scope: asked } };
    const reply = await this.#http.post('/auth/tokens', body);
    if (reply.status !== 201) throw new Error(`no token for ${name}: ${reply.status} ${JSON.stringify(reply.data)}`);
    return String(reply.headers['x-subject-token']);
  }

  adminToken(): Promise<string> {
    return this.token({ name: 'admin', password: this.#adminPassword }, { project: 'admin' });
  }

  /** From now on the token is none. */
  async revoke(token: string): Promise<void> {
    const reply = await this.#http.delete('/auth/tokens', { headers: { 'X-Auth-Token': token, 'X-Subject-Token': token } });
    if (reply.status !== 204) throw new Error(`not revoked: ${reply.status}`);
  }

  /** Whether Keystone itself still knows the token. */
  async knows(token: string): Promise<boolean> {
    return (await this.#http.get('/auth/tokens', { headers: { 'X-Auth-Token': (this.#adminToken ??= await this.adminToken()), 'X-Subject-Token': token } })).status === 200;
  }

  async #role(name: string): Promise<string> {
    const found = (await this.#administer('GET', `/roles?name=${name}`)).roles as unknown as { id: string }[];
    return found[0]?.id ?? ((await this.#administer('POST', '/roles', { role: { name } })).role?.['id'] as string);
  }

  async #administer(method: string, path: string, body?: object): Promise<Record<string, Record<string, unknown>>> {
    this.#adminToken ??= await this.adminToken();
    return this.#request(method, path, this.#adminToken, body);
  }

  async #request(method: string, path: string, token: string, body?: object): Promise<Record<string, Record<string, unknown>>> {
    const reply: AxiosResponse<Record<string, Record<string, unknown>>> = await this.#http.request({ method, url: path, headers: { 'X-Auth-Token': token }, data: body });
    if (reply.status >= 300) throw new Error(`Keystone refused ${method} ${path}: ${reply.status} ${JSON.stringify(reply.data)}`);
    return reply.data;
  }
}

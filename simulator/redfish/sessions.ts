import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Router, type RequestHandler } from 'express';
import { sendError } from './errors.ts';

const SESSIONS = '/redfish/v1/SessionService/Sessions';

/** Who may use the BMC: one account, by Basic authentication or a session's token. */
export class Sessions {
  readonly #username: string;
  readonly #password: string;
  /** Session id by token. */
  readonly #sessions = new Map<string, string>();

  constructor(account: { username: string; password: string }) {
    this.#username = account.username;
    this.#password = account.password;
  }

  /** Lets through what carries a valid token or account; anything else gets 401. */
  readonly authenticate: RequestHandler = (request, response, next) => {
    const token = request.get('X-Auth-Token');
    if (token === undefined ? this.#hasAccount(request.get('Authorization')) : this.#sessions.has(token)) {
      next();
      return;
    }
    response.set('WWW-Authenticate', 'Basic realm="simulated BMC"');
    sendError(response, 401, token === undefined ? 'ResourceAtUriUnauthorized' : 'NoValidSession', 'Valid credentials are required: Basic authentication or the token of a session.');
  };

  /** `POST Sessions` needs no authentication but its own body. */
  openRoutes(): Router {
    return Router().post(SESSIONS, (request, response) => {
      const { UserName, Password } = (request.body ?? {}) as { UserName?: unknown; Password?: unknown };
      if (typeof UserName !== 'string' || typeof Password !== 'string' || !this.#isAccount(UserName, Password)) {
        sendError(response, 401, 'ResourceAtUriUnauthorized', 'The user name or password is wrong.');
        return;
      }
      const token = randomBytes(24).toString('hex');
      const id = randomBytes(6).toString('hex');
      this.#sessions.set(token, id);
      response.status(201).set({ 'X-Auth-Token': token, Location: `${SESSIONS}/${id}` }).json(this.#view(id));
    });
  }

  closedRoutes(): Router {
    const router = Router();
    router.get('/redfish/v1/SessionService', (_request, response) => {
      response.json({ '@odata.type': '#SessionService.v1_1_8.SessionService', '@odata.id': '/redfish/v1/SessionService', Id: 'SessionService', Name: 'Session Service', ServiceEnabled: true, SessionTimeout: 3600, Sessions: { '@odata.id': SESSIONS } });
    });
    router.get(SESSIONS, (_request, response) => {
      const members = [...this.#sessions.values()].map((id) => ({ '@odata.id': `${SESSIONS}/${id}` }));
      response.json({ '@odata.type': '#SessionCollection.SessionCollection', '@odata.id': SESSIONS, Name: 'Sessions', Members: members, 'Members@odata.count': members.length });
    });
    router
      .route(`${SESSIONS}/:id`)
      .get((request, response) => {
        if ([...this.#sessions.values()].includes(request.params.id)) response.json(this.#view(request.params.id));
        else sendError(response, 404, 'ResourceMissingAtURI', `There is no session ${request.params.id}.`);
      })
      .delete((request, response) => {
        const token = [...this.#sessions].find(([, id]) => id === request.params.id)?.[0];
        if (token === undefined) {
          sendError(response, 404, 'ResourceMissingAtURI', `There is no session ${request.params.id}.`);
          return;
        }
        this.#sessions.delete(token);
        response.status(204).end();
      });
    return router;
  }

  #view(id: string): Record<string, unknown> {
    return { '@odata.type': '#Session.v1_3_0.Session', '@odata.id': `${SESSIONS}/${id}`, Id: id, Name: 'User Session', UserName: this.#username };
  }

  #hasAccount(authorization: string | undefined): boolean {
    const [scheme, encoded] = (authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'basic' || encoded === undefined) return false;
    const [username = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
    return this.#isAccount(username, password.join(':'));
  }

  #isAccount(username: string, password: string): boolean {
    const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
    const sameName = timingSafeEqual(digest(username), digest(this.#username));
    return timingSafeEqual(digest(password), digest(this.#password)) && sameName;
  }
}

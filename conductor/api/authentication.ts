import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync, type Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import bcrypt from 'bcryptjs';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { messageOf, OperationFailedError, UnauthorizedError } from '../../protocol/errors.ts';
import { contextOf } from './request-context.ts';

/** Everybody may do everything, as `anonymous`. */
export const noAuth = (): RequestHandler => (_request, response, next) => {
  contextOf(response).caller = { user: 'anonymous', projectId: null, access: 'admin' };
  next();
};

/** Paths that tell nothing but the versions, open as they are in Ironic. */
export const PUBLIC_PATHS = ['/', '/v1', '/v1/'];

/**
 * HTTP basic authentication against an htpasswd file with bcrypt hashes. The file is read again when it has changed.
 * A user that does not exist costs as much time as a wrong password.
 * @throws OperationFailedError at once for a file that cannot be used.
 */
export function httpBasic(file: string): RequestHandler {
  const users = new PasswordFile(file);
  const authenticate = async (request: Request, response: Response): Promise<void> => {
    if (PUBLIC_PATHS.includes(request.path)) return;
    const credentials = credentialsOf(request.get('Authorization'));
    if (!credentials || !(await users.accept(credentials.user, credentials.password))) {
      response.setHeader('WWW-Authenticate', 'Basic realm="Baremetal API"');
      throw new UnauthorizedError(credentials ? 'Incorrect username or password' : 'Authorization required');
    }
    contextOf(response).caller = { user: credentials.user, projectId: null, access: 'admin' };
  };
  return (request: Request, response: Response, next: NextFunction) => {
    authenticate(request, response).then(() => next(), next);
  };
}

function credentialsOf(header: string | undefined): { user: string; password: string } | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '') ?? [];
  const [, user, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString('utf8')) ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

class PasswordFile {
  readonly #file: string;
  /** Hash by user name. */
  #hashes = new Map<string, string>();
  /** Of the last password that each user proved, so that bcrypt runs once and not for every request. */
  #proven = new Map<string, Buffer>();
  readonly #provenKey = randomBytes(32);
  /** Compared for users that do not exist. */
  readonly #nobody = bcrypt.hashSync(randomBytes(16).toString('hex'), 10);
  #version = '';

  constructor(file: string) {
    this.#file = file;
    try {
      this.#take(versionOf(statSync(file)), readFileSync(file, 'utf8')); // at the start nobody waits, and a wrong file is told at once
    } catch (error) {
      throw new OperationFailedError(`The password file ${file} cannot be used: ${messageOf(error)}. Expected lines of user:bcrypt-hash as "htpasswd -B" makes them.`, {}, error);
    }
  }

  async accept(user: string, password: string): Promise<boolean> {
    await this.#refresh();
    const proof = createHmac('sha256', this.#provenKey).update(password).digest();
    const proven = this.#proven.get(user);
    if (proven && timingSafeEqual(proven, proof)) return true;
    const hash = this.#hashes.get(user);
    const matches = await bcrypt.compare(password, hash ?? this.#nobody);
    if (hash === undefined || !matches) return false;
    if (this.#hashes.get(user) === hash) this.#proven.set(user, proof); // unless the file changed meanwhile
    return true;
  }

  async #refresh(): Promise<void> {
    try {
      const version = versionOf(await stat(this.#file));
      if (version !== this.#version) this.#take(version, await readFile(this.#file, 'utf8'));
    } catch (error) {
      throw new Error(`The password file ${this.#file} cannot be used any more: ${messageOf(error)}`, { cause: error }); // of no catalogue: logged, and told to nobody who has not signed in
    }
  }

  #take(version: string, text: string): void {
    this.#hashes = parseHashes(text);
    this.#proven = new Map();
    this.#version = version;
  }
}

const versionOf = ({ ino, mtimeMs, size }: Stats): string => `${ino} ${mtimeMs} ${size}`;

function parseHashes(text: string): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const [index, line] of text.split('\n').map((line) => line.trim()).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, user, hash] = /^([^:]+):(\$2[aby]\$\d\d\$[./A-Za-z0-9]{53})$/.exec(line) ?? [];
    if (user === undefined || hash === undefined) throw new Error(`line ${index + 1} is no user with a bcrypt hash`);
    hashes.set(user, hash);
  }
  return hashes;
}

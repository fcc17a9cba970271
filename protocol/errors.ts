/**
 * The error catalogue: every error that may cross a process boundary. Each class has a stable `code`, the HTTP
 * status that the API answers with, and data a program can act on. The message says what was expected, what was
 * found and what to do.
 */
export class MetalshotError extends Error {
  readonly code: string;
  readonly httpStatus: number;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: string, httpStatus: number, message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.httpStatus = httpStatus;
    this.data = data;
  }

  toJSON(): { code: string; message: string; data: Readonly<Record<string, unknown>> } {
    return { code: this.code, message: this.message, data: this.data };
  }
}

/** 400: an argument, field or document from outside is not acceptable. Permanent: repeating it cannot help. */
export class InvalidParameterError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super('InvalidParameterValue', 400, message, data, cause);
  }
}

/** 400: the state machine does not know this verb in this state. */
export class InvalidStateError extends MetalshotError {
  constructor(verb: string, nodeUuid: string, state: string) {
    super('InvalidStateRequested', 400, `The requested action "${verb}" can not be performed on node "${nodeUuid}" while it is in state "${state}".`, { verb, node: nodeUuid, state });
  }
}

/** 400: the node's driver does not support this interface or operation. */
export class UnsupportedInterfaceError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super('UnsupportedDriverExtension', 400, message, data);
  }
}

/** 401: no or wrong credentials. */
export class UnauthorizedError extends MetalshotError {
  constructor(message = 'Authentication required') {
    super('Unauthorized', 401, message);
  }
}

/** 403: known caller, forbidden action. */
export class ForbiddenError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super('Forbidden', 403, message, data);
  }
}

/** 404 */
export class NotFoundError extends MetalshotError {
  constructor(message = 'Resource could not be found.', data: Record<string, unknown> = {}) {
    super('NotFound', 404, message, data);
  }
}

/** 405: known path, wrong method. `data.allow` lists the methods. */
export class MethodNotAllowedError extends MetalshotError {
  constructor(method: string, allow: readonly string[]) {
    super('MethodNotAllowed', 405, `The method ${method} is not allowed for this resource.`, { allow });
  }
}

/** 406: the microversion is unsupported or older than what the request needs. */
export class NotAcceptableError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super('NotAcceptable', 406, message, data);
  }
}

/** 409: passing conflict; clients repeat these by themselves, so never use it for a permanent refusal. */
export class ConflictError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super('Conflict', 409, message, data, cause);
  }
}

/** 409: somebody else holds the node's lock. */
export class NodeLockedError extends MetalshotError {
  constructor(nodeIdent: string, holder: string) {
    super('NodeLocked', 409, `Node ${nodeIdent} is locked by host ${holder}, please retry after the current operation is completed.`, { node: nodeIdent, holder });
  }
}

/** 503: nothing wrong with the request; a limit or a peer is in the way for the moment. */
export class TemporarilyUnavailableError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super('TemporarilyUnavailable', 503, message, data, cause);
  }
}

/** An external program, peer or device did not do what was asked; ends an operation, never the process. */
export class OperationFailedError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super('OperationFailed', 500, message, data, cause);
  }
}

/** What is shown of anything thrown: the message of an Error, or the value as text. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

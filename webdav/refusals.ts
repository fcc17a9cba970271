import { MetalshotError } from '../protocol/errors.ts';

/** 412: a condition of the request (If, If-Match, If-None-Match) does not hold. */
export class PreconditionFailedError extends MetalshotError {
  constructor(message: string) {
    super('PreconditionFailed', 412, message);
  }
}

/** 413: the body of a request other than PUT is longer than it has any reason to be. */
export class BodyTooLargeError extends MetalshotError {
  constructor(limitBytes: number) {
    super('BodyTooLarge', 413, `The request's body may have ${limitBytes} bytes at most.`, { limitBytes });
  }
}

/** 423: the file is locked and the request does not carry the lock's token. */
export class FileLockedError extends MetalshotError {
  constructor(name: string) {
    super('Locked', 423, `${name} is locked: send the lock's token in an If header.`, { name });
  }
}

/** 507: the snapshot's quota or the reserve of the spool's file system is in the way. */
export class InsufficientStorageError extends MetalshotError {
  constructor(message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super('InsufficientStorage', 507, message, data, cause);
  }
}

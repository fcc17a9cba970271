import { OperationFailedError } from '../../protocol/errors.ts';

/** A failure that beginning anew cannot mend: a refusal, an unsuitable image, a disk that does not take data. */
export class PermanentFailure extends OperationFailedError {}

/** Nobody answers, or only that it cannot now: a conductor that restarts, for example. Nothing of the image was received. */
export class UnreachableFailure extends OperationFailedError {}

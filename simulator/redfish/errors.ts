import type { ErrorRequestHandler, Response } from 'express';
import { MetalshotError, messageOf } from '../../protocol/errors.ts';

/** Message ids of the Redfish Base registry that we use. */
export type MessageId =
  | 'GeneralError'
  | 'InternalError'
  | 'MalformedJSON'
  | 'NoValidSession'
  | 'OperationNotAllowed'
  | 'PreconditionFailed'
  | 'PropertyUnknown'
  | 'PropertyValueNotInList'
  | 'ActionParameterNotSupported'
  | 'ResourceAtUriUnauthorized'
  | 'ResourceMissingAtURI'
  | 'ResourceInUse';

/** Answers with Redfish's error document (DSP0266, "Error responses"). */
export function sendError(response: Response, status: number, id: MessageId, message: string, relatedProperties?: readonly string[]): void {
  const messageId = `Base.1.12.${id}`;
  response.status(status).json({
    error: {
      code: messageId,
      message,
      '@Message.ExtendedInfo': [
        {
          '@odata.type': '#Message.v1_1_1.Message',
          MessageId: messageId,
          Message: message,
          Severity: status >= 500 ? 'Critical' : 'Warning',
          Resolution: status >= 500 ? 'Resubmit the request; if it fails again, reset the service.' : 'Correct the request and resubmit it.',
          ...(relatedProperties ? { RelatedProperties: relatedProperties } : {}),
        },
      ],
    },
  });
}

/** The one place where something thrown becomes an answer. Express tells an error handler by its four parameters. */
export const answerError: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  if (error instanceof SyntaxError) sendError(response, 400, 'MalformedJSON', 'The request body is not valid JSON.');
  else if (error instanceof MetalshotError && error.httpStatus === 409) sendError(response, 409, 'ResourceInUse', error.message);
  else if (error instanceof MetalshotError && error.httpStatus < 500) sendError(response, error.httpStatus, 'GeneralError', error.message);
  else sendError(response, 500, 'InternalError', messageOf(error));
};

import type { Request, Response, Router } from 'express';
import { NotFoundError } from '../../../protocol/errors.ts';
import type { JsonObject } from '../../../protocol/json.ts';
import type { HistoryRow, NodeRow } from '../../db/rows.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { findNode } from '../node-representation.ts';
import { cutPage, pageOf, pageQuery } from '../pages.ts';
import type { RequestContext } from '../request-context.ts';
import { booleanLike, queryOf } from '../request-documents.ts';
import { parameter, resource } from '../resource.ts';
import { formatTime } from '../timestamps.ts';

const HISTORY_MICROVERSION = 78;
/** Ironic cuts an event to so many characters in a list without detail. */
const SHORT_EVENT_LENGTH = 255;

export const historyListQuery = { ...pageQuery, detail: booleanLike.optional() };

/** `/v1/nodes/{ident}/history`: a line for each transition, oldest first. */
export function nodeHistoryRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/nodes/:ident/history', { GET: (request, response, context) => listHistory(deps, request, response, context, false) }, HISTORY_MICROVERSION);
  // what the stock client asks for with --long
  resource(router, '/nodes/:ident/history/detail', { GET: (request, response, context) => listHistory(deps, request, response, context, true) }, HISTORY_MICROVERSION);
  resource(
    router,
    '/nodes/:ident/history/:event',
    {
      GET: async (request, response, context) => {
        const node = await findNode(deps, parameter(request, 'ident'), context);
        const row = await deps.db.history.find(node.id, parameter(request, 'event'));
        if (!row) throw new NotFoundError(`Node history record ${parameter(request, 'event')} could not be found.`);
        response.json(show(row, node, context.baseUrl, true));
      },
    },
    HISTORY_MICROVERSION,
  );
}

async function listHistory(deps: ApiDependencies, request: Request, response: Response, context: RequestContext, whole: boolean): Promise<void> {
  const { detail, ...paging } = queryOf(request, historyListQuery);
  const node = await findNode(deps, parameter(request, 'ident'), context);
  const page = pageOf(paging, { id: 'id', created_at: 'createdAt', uuid: 'uuid', severity: 'severity', event: 'event' });
  const { rows, next } = cutPage(await deps.db.history.listOf(node.id, page), page, request, context.baseUrl);
  response.json({ history: rows.map((row) => show(row, node, context.baseUrl, whole || (detail ?? false))), ...(next === undefined ? {} : { next }) });
}

function show(row: HistoryRow, node: NodeRow, baseUrl: string, detail: boolean): JsonObject {
  const { uuid, severity, event } = row;
  return {
    uuid,
    created_at: formatTime(row.createdAt),
    severity,
    ...(detail ? { event, event_type: row.eventType, conductor: row.conductor, user: row.user } : { event: event.length > SHORT_EVENT_LENGTH ? `${event.slice(0, SHORT_EVENT_LENGTH - 4)}...` : event }),
    links: [{ href: `${baseUrl}/v1/nodes/${node.uuid}/history/${uuid}`, rel: 'self' }],
  };
}

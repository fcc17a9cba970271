import type { Router } from 'express';
import { z } from 'zod';
import { UnsupportedInterfaceError } from '../../../protocol/errors.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { findNode } from '../node-representation.ts';
import { bodyOf, booleanLike, jsonObject } from '../request-documents.ts';
import { parameter, resource, type Handler, type Method } from '../resource.ts';

export const bootModeSchema = z.strictObject({ target: z.enum(['bios', 'uefi']) });
export const secureBootSchema = z.strictObject({ target: booleanLike });
export const noArguments = z.strictObject({});
export const raidSchema = jsonObject;

/** Actions of Ironic that no driver here offers: a request that is right in itself is answered as by an Ironic whose drivers lack it. */
export function unsupportedNodeRoutes(router: Router, deps: ApiDependencies): void {
  const refuse = (path: string, method: Method, action: string, since: number, body?: z.ZodType): void => {
    const handler: Handler = async (request, _response, context) => {
      if (body) bodyOf(request, body);
      const node = await findNode(deps, parameter(request, 'ident'), context);
      throw new UnsupportedInterfaceError(`Driver ${node.driver} does not support ${action} (disabled or not implemented).`, { driver: node.driver, action });
    };
    resource(router, path, { [method]: handler }, since);
  };
  refuse('/nodes/:ident/states/boot_mode', 'PUT', 'set_boot_mode', 76, bootModeSchema);
  refuse('/nodes/:ident/states/secure_boot', 'PUT', 'set_secure_boot_state', 76, secureBootSchema);
  refuse('/nodes/:ident/states/raid', 'PUT', 'set_raid_config', 12, raidSchema);
  refuse('/nodes/:ident/management/inject_nmi', 'PUT', 'inject_nmi', 29, noArguments);
  refuse('/nodes/:ident/management/indicators', 'GET', 'get_supported_indicators', 63);
}

import type { Router } from 'express';
import { z } from 'zod';
import { ConflictError } from '../../../protocol/errors.ts';
import { SNAPSHOT_MICROVERSION } from '../../../protocol/microversion.ts';
import { hasTag } from '../../../state-machine/provision-states.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { maintenancePatch, recordMaintenance } from '../maintenance.ts';
import { findNode } from '../node-representation.ts';
import { bodyOf, booleanLike } from '../request-documents.ts';
import { endEmpty, parameter, resource } from '../resource.ts';

export const maintenanceSchema = z.strictObject({ reason: z.string().nullish() });
export const bootDeviceSchema = z.strictObject({ boot_device: z.enum(['pxe', 'disk', 'cdrom', 'bios', 'safe']), persistent: booleanLike.nullish() });

function changeMaintenance(deps: ApiDependencies, uuid: string, maintenance: boolean, reason: string | null, user: string): Promise<void> {
  return deps.workflow.withLock(uuid, async (node) => {
    const patch = maintenancePatch(maintenance, reason);
    await deps.db.nodes.update(node.id, patch, node.reservation ?? undefined);
    await recordMaintenance(deps, node, patch, user);
  });
}

/** Maintenance, validation and boot device of a node. */
export function nodeCareRoutes(router: Router, deps: ApiDependencies): void {
  resource(router, '/nodes/:ident/maintenance', {
    PUT: async (request, response, context) => {
      const { reason } = bodyOf(request, maintenanceSchema);
      const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
      await changeMaintenance(deps, uuid, true, reason ?? null, context.caller.user);
      endEmpty(response, 202);
    },
    DELETE: async (request, response, context) => {
      const { uuid } = await findNode(deps, parameter(request, 'ident'), context);
      await changeMaintenance(deps, uuid, false, null, context.caller.user);
      endEmpty(response, 202);
    },
  });

  resource(router, '/nodes/:ident/validate', {
    GET: async (request, response, context) => {
      const { snapshot, ...others } = await deps.workflow.validate(await findNode(deps, parameter(request, 'ident'), context));
      response.json(context.minor < SNAPSHOT_MICROVERSION ? others : { ...others, snapshot });
    },
  });

  resource(router, '/nodes/:ident/management/boot_device', {
    GET: async (request, response, context) => {
      const { bootDevice, persistent } = await deps.workflow.getBootDevice(await findNode(deps, parameter(request, 'ident'), context));
      response.json({ boot_device: bootDevice, persistent });
    },
    PUT: async (request, response, context) => {
      const { boot_device: device, persistent } = bodyOf(request, bootDeviceSchema);
      const node = await findNode(deps, parameter(request, 'ident'), context);
      // a device set now would be the one that the server meets when the snapshot sends it back to its own disk
      if (hasTag(node.provisionState, 'powerRefused')) throw new ConflictError(`The boot device of node ${node.uuid} can not be changed while a snapshot is under way; wait for its end or abort it.`);
      await deps.workflow.setBootDevice(node, device, persistent ?? false);
      endEmpty(response, 204);
    },
  });
  resource(router, '/nodes/:ident/management/boot_device/supported', {
    GET: async (request, response, context) => {
      response.json({ supported_boot_devices: await deps.workflow.supportedBootDevices(await findNode(deps, parameter(request, 'ident'), context)) });
    },
  });
}

import { randomUUID } from 'node:crypto';
import { createLogger } from '../../../protocol/log.ts';
import { INTERFACE_KINDS, type InterfaceKind, type NodeRow } from '../../../conductor/db/rows.ts';
import type { DriverTask } from '../../../conductor/drivers/interfaces.ts';

/** A node as the database hands it out: active, nothing known about its power. */
export function makeNode(given: Partial<NodeRow> = {}): NodeRow {
  return {
    id: 1,
    uuid: randomUUID(),
    name: null,
    driver: 'redfish',
    interfaces: Object.fromEntries(INTERFACE_KINDS.map((kind) => [kind, 'fake'])) as Record<InterfaceKind, string>,
    driverInfo: {},
    driverInternalInfo: {},
    properties: {},
    instanceInfo: {},
    instanceUuid: null,
    extra: {},
    networkData: {},
    resourceClass: null,
    conductorGroup: '',
    owner: null,
    lessee: null,
    description: null,
    automatedClean: null,
    protected: false,
    protectedReason: null,
    retired: false,
    retiredReason: null,
    provisionState: 'active',
    targetProvisionState: null,
    provisionUpdatedAt: null,
    powerState: null,
    targetPowerState: null,
    cleanStep: {},
    deployStep: {},
    lastError: null,
    maintenance: false,
    maintenanceReason: null,
    fault: null,
    reservation: 'test',
    bootBack: null,
    powerStateBefore: null,
    powerOffDue: 'none',
    bootBackAttempts: 0,
    bootBackNextAt: null,
    ramdiskBoot: null,
    bootNonceHash: null,
    bootDeviceBefore: null,
    agentToken: null,
    agentUrl: null,
    agentVerifyCa: null,
    agentVersion: null,
    agentLastHeartbeatAt: null,
    createdAt: new Date(),
    updatedAt: null,
    ...given,
  };
}

export const makeTask = (node: Partial<NodeRow> = {}, signal: AbortSignal = new AbortController().signal): DriverTask => ({ node: makeNode(node), ports: [], log: createLogger('test', 'silent'), signal });

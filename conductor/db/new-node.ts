import { randomUUID } from 'node:crypto';
import type { NodeRow } from './rows.ts';

export type NewNode = Pick<NodeRow, 'driver' | 'interfaces'> & Partial<Omit<NodeRow, 'id' | 'driver' | 'interfaces' | 'reservation' | 'createdAt' | 'updatedAt'>>;

/** A whole row: what `node` says, and for the rest what a node has that nobody has touched. */
export function rowOf(node: NewNode): Omit<NodeRow, 'id'> {
  return {
    name: null,
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
    provisionState: 'enroll',
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
    bootBack: null,
    powerStateBefore: null,
    powerOffDue: 'none',
    bootBackAttempts: 0,
    bootBackNextAt: null,
    agentToken: null,
    agentUrl: null,
    agentVerifyCa: null,
    agentVersion: null,
    agentLastHeartbeatAt: null,
    ...node,
    uuid: (node.uuid ?? randomUUID()).toLowerCase(),
    reservation: null,
    createdAt: new Date(),
    updatedAt: null,
  };
}

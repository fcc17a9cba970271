import type { NodeRow } from '../db/rows.ts';
import { capabilityOf } from '../drivers/capabilities.ts';

/** Whether the machine's firmware starts signed programs only, as the capability `secure_boot` of the node or of its instance says. */
export const hasSecureBoot = ({ properties, instanceInfo }: Pick<NodeRow, 'properties' | 'instanceInfo'>): boolean => [properties, instanceInfo].some((holder) => isTrue(capabilityOf(holder['capabilities'], 'secure_boot')));

const isTrue = (value: unknown): boolean => value === true || (typeof value === 'string' && value.toLowerCase() === 'true');

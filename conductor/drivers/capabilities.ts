/** A capability's value in either of Ironic's forms: `"boot_mode:uefi,secure_boot:true"` and `{"boot_mode": "uefi"}`; undefined: it is not told. */
export function capabilityOf(capabilities: unknown, name: string): unknown {
  if (typeof capabilities === 'string') return capabilities.split(',').map((pair) => pair.split(':').map((part) => part.trim())).find(([key]) => key === name)?.[1];
  return typeof capabilities === 'object' && capabilities !== null ? new Map(Object.entries(capabilities)).get(name) : undefined;
}

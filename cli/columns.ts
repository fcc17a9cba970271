/** Words of a field's name that are not simply capitalised in a heading. */
const ACRONYMS: Readonly<Record<string, string>> = { uuid: 'UUID', id: 'ID', bios: 'BIOS', raid: 'RAID' };

/** Headings of the stock client that cannot be derived from the field's name. */
const IRREGULAR_LABELS: Readonly<Record<string, string>> = {
  provision_state: 'Provisioning State',
  raid_config: 'Current RAID configuration',
  target_raid_config: 'Target RAID configuration',
  network_data: 'Network Configuration',
  pxe_enabled: 'PXE boot enabled',
  is_smartnic: 'Is Smart NIC port',
  hosts: 'Active host(s)',
};

/** Members of a reply that only serve navigation; lists and records leave them out, as the stock client does. */
const NAVIGATION_FIELDS = new Set(['links', 'ports', 'portgroups', 'volume', 'states']);

/** The heading of a field in lists, as the stock client has it: `power_state` is `Power State`. */
export function labelOf(field: string): string {
  const irregular = IRREGULAR_LABELS[field];
  if (irregular !== undefined) return irregular;
  return field
    .split('_')
    .map((word) => ACRONYMS[word] ?? word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ');
}

/** All fields that any of the rows has, sorted, without those for navigation. */
export function fieldsOf(rows: readonly Readonly<Record<string, unknown>>[]): string[] {
  const fields = new Set(rows.flatMap((row) => Object.keys(row)));
  return [...fields].filter((field) => !NAVIGATION_FIELDS.has(field)).sort();
}

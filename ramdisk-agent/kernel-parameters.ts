/**
 * The parameters of a kernel command line, as /proc/cmdline holds it: `name=value` or a name alone (empty value); the last
 * of a name counts, double quotes keep spaces together (kernel-parameters of the kernel's documentation).
 */
export function parseKernelParameters(commandLine: string): Map<string, string> {
  const words = commandLine.trim().match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  return new Map(
    words.map((word) => {
      const [name = '', value = ''] = word.replaceAll('"', '').split(/=(.*)/s);
      return [name, value];
    }),
  );
}

/** `BOOTIF=01-aa-bb-cc-dd-ee-ff`, as PXELINUX and iPXE write it: the hardware type, then the address. Null when it has another form. */
export function parseBootInterface(value: string): string | null {
  return /^01(-[0-9a-f]{2}){6}$/i.test(value) ? value.slice(3).replaceAll('-', ':').toLowerCase() : null;
}

import { z } from 'zod';
import { port, seconds } from './config-values.ts';

/** `boot.dhcp`: DHCP and TFTP by a dnsmasq of our own. */
const dhcpSchema = z
  .strictObject({
    interface: z.string().regex(/^[A-Za-z0-9._@-]{1,15}$/, 'expected the name of a network interface'),
    /** `server`: gives addresses out of `range`; `proxy`: beside another DHCP server, which gives them. */
    mode: z.enum(['server', 'proxy']).default('server'),
    /** First and last address; in proxy mode the network's address. */
    range: z.tuple([z.ipv4(), z.ipv4()]).or(z.tuple([z.ipv4()])),
    netmask: z.ipv4().optional(),
    router: z.ipv4().optional(),
    dns_servers: z.array(z.ipv4()).default([]),
    lease_s: z.number().int().min(120).default(3600),
    /** Only machines that a port is known of are answered. */
    known_only: z.boolean().default(false),
  })
  .superRefine(({ mode, range }, context) => {
    const wanted = mode === 'server' ? 2 : 1;
    if (range.length !== wanted) context.addIssue({ code: 'custom', path: ['range'], message: mode === 'server' ? 'expected the first and the last address with mode: server' : "expected the network's address alone with mode: proxy" });
  });

/** `boot`: what machines boot the ramdisk from. Without this section there is none, and boot interfaces other than `fake` are refused. */
export const bootSchema = z.strictObject({
  /** The listener of boot files: plain http, since boot loaders speak nothing else. */
  host: z.string().default('127.0.0.1'),
  port: port.default(6387),
  /** URL by which machines reach this listener; default: made of host and port. */
  advertise_url: z.url({ protocol: /^http$/ }).refine((url) => new URL(url).pathname === '/', 'expected http://HOST:PORT without a path').optional(),
  /** URL by which BMCs fetch the ISOs of virtual media: this listener as they reach it, or the provisioning listener, whose https hides them from others in the BMCs' network; default: advertise_url. */
  iso_advertise_url: z.url({ protocol: /^https?$/ }).refine((url) => new URL(url).pathname === '/', 'expected http(s)://HOST:PORT without a path').optional(),
  /** Where `npm run ramdisk` has put kernel, initramfs and boot loaders; default: below the state directory. */
  ramdisk_directory: z.string().optional(),
  /** Added to the ramdisk's kernel command line. */
  kernel_parameters: z.string().regex(/^[\x20-\x7e]*$/, 'expected printable ASCII').default('console=tty0 console=ttyS0,115200n8'),
  /** An agent boots its machine from its own disk when the conductor has been silent for so long. */
  conductor_silence_timeout_s: seconds.default(900),
  /** And when it was given nothing to do for so long. */
  idle_timeout_s: seconds.default(1800),
  /** A watchdog resets the machine when the agent could not run for so long; 0: none. */
  watchdog_timeout_s: z.number().int().min(0).max(600).default(120),
  /** Without it, an existing DHCP server has to be told (docs/hardware.md). */
  dhcp: dhcpSchema.optional(),
});
export type BootConfig = z.infer<typeof bootSchema>;
export type DhcpConfig = NonNullable<BootConfig['dhcp']>;

import { z } from 'zod';

/** What a simulated machine does wrong, as real behaviour; each can be switched while it runs. */
export const faultsSchema = z.strictObject({
  /** The operating system does not react to the request to shut down: the machine stays on. */
  ignore_graceful_shutdown: z.boolean().default(false),
  /** A boot from the network ends nowhere: powered on, nothing runs. */
  pxe_hangs: z.boolean().default(false),
  /** `Once` is taken as `Continuous`, as some BMCs do. */
  ignores_once: z.boolean().default(false),
  /** `refused`: the BMC answers 500; `silent`: it accepts, and the machine stays off. */
  power_on: z.enum(['works', 'refused', 'silent']).default('works'),
  /** `refused`: the BMC answers 500; `silent`: it accepts, and the machine stays on. */
  power_off: z.enum(['works', 'refused', 'silent']).default('works'),
  /** A reset into the state that the machine is already in is answered with 409, as some BMCs do. */
  strict_reset: z.boolean().default(false),
  /** The BMC answers 500, never answers, or cuts the connection: for so many requests, or until cleared (null). */
  bmc: z.strictObject({ mode: z.enum(['error', 'hang', 'drop']), requests: z.number().int().positive().nullable().default(null) }).nullable().default(null),
});
export type Faults = z.infer<typeof faultsSchema>;

/** A change of faults: what is not named stays as it is. (`partial()` of the schema would bring its defaults in.) */
export const faultChangeSchema = z.strictObject({
  ignore_graceful_shutdown: z.boolean().optional(),
  pxe_hangs: z.boolean().optional(),
  ignores_once: z.boolean().optional(),
  power_on: faultsSchema.shape.power_on.unwrap().optional(),
  power_off: faultsSchema.shape.power_off.unwrap().optional(),
  strict_reset: z.boolean().optional(),
  bmc: faultsSchema.shape.bmc.unwrap().optional(),
});
export type FaultChange = z.input<typeof faultChangeSchema>;

export const noFaults = (): Faults => faultsSchema.parse({});

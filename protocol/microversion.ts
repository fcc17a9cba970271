/**
 * API microversions as Ironic speaks them: `1.N`, carried in `X-OpenStack-Ironic-API-Version`
 * (or `OpenStack-API-Version: baremetal 1.N`). A version is handled as its minor number.
 */
export const MIN_MICROVERSION = 1;
/** The first microversion that knows the provision verb `snapshot`: one above the newest of upstream Ironic (1.115). */
export const SNAPSHOT_MICROVERSION = 116;
export const MAX_MICROVERSION = SNAPSHOT_MICROVERSION;
/** What a request without any version header gets (Ironic: 1.1). */
export const DEFAULT_MICROVERSION = MIN_MICROVERSION;

export const VERSION_HEADER = 'X-OpenStack-Ironic-API-Version';
export const MIN_VERSION_HEADER = 'X-OpenStack-Ironic-API-Minimum-Version';
export const MAX_VERSION_HEADER = 'X-OpenStack-Ironic-API-Maximum-Version';

export const formatMicroversion = (minor: number): string => `1.${minor}`;

/** Microversions at which verbs, queries and fields that we serve first appeared (upstream's own numbers). */
export const VERB_MICROVERSIONS: Readonly<Record<string, number>> = {
  manage: 4,
  provide: 4,
  inspect: 6,
  abort: 13,
  clean: 15,
  adopt: 17,
  rescue: 38,
  unrescue: 38,
  deploy: 73,
  undeploy: 73,
  unhold: 85,
  service: 87,
  snapshot: SNAPSHOT_MICROVERSION,
};

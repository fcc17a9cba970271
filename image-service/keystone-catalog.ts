import { OperationFailedError } from '../protocol/errors.ts';
import type { KeystoneToken } from '../protocol/keystone.ts';

export interface EndpointChoice {
  /** Default: whichever region comes first. */
  region?: string;
  interface: 'public' | 'internal' | 'admin';
}

/** URL of a service in the catalog that came with a token. @throws OperationFailedError saying what the catalog has instead. */
export function endpointOf(token: KeystoneToken, serviceType: string, choice: EndpointChoice): string {
  const endpoints = token.catalog.filter(({ type }) => type === serviceType).flatMap((service) => service.endpoints);
  const found = endpoints.find((endpoint) => endpoint.interface === choice.interface && (choice.region === undefined || choice.region === (endpoint.region_id ?? endpoint.region)));
  if (found && /^https?:\/\//i.test(found.url)) return found.url;
  const wanted = `a ${choice.interface} endpoint of type ${serviceType}${choice.region === undefined ? '' : ` in region ${choice.region}`}`;
  const known = found ? `the URL ${JSON.stringify(found.url)}` : endpoints.map((endpoint) => `${endpoint.interface} in ${endpoint.region_id ?? endpoint.region ?? 'no region'}`).join(', ') || 'none of that type';
  throw new OperationFailedError(`The catalog of Keystone: expected ${wanted}, found ${known}; set image_service.url, or region and interface to what the catalog has`);
}

import { Fault, badRequest } from './fault.ts';

/** The newest microversion: 3.71, of Cinder 29. Microversions are their minor numbers; the major one is always 3. */
export const newest = 71;

export const versionHeader = 'OpenStack-API-Version';

/** What the request's header asks for; without one it is 3.0, as in Cinder. */
export function microversionOf(header: string | null): number {
  const asked = (header ?? '')
    .split(',')
    .map((part) => part.trim().split(/\s+/))
    .find(([service]) => service?.toLowerCase() === 'volume')?.[1];
  if (asked === undefined) return 0;
  if (asked === 'latest') return newest;
  const parts = /^(\d+)\.(\d+)$/.exec(asked);
  if (!parts)
    throw badRequest(`API Version String ${asked} is of invalid format. Must be of format MajorNum.MinorNum.`);
  const minor = Number(parts[2]);
  if (parts[1] === '3' && minor <= newest) return minor;
  throw new Fault(406, `Version ${asked} is not supported by the API. Minimum is 3.0 and maximum is 3.${newest}.`);
}

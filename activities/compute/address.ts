import { isIPv6 } from 'node:net';

/** Where an export listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** As `ss`, nft and people read it. */
export function tellAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

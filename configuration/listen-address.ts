import * as z from 'zod';

/** Where a server listens. */
export interface ListenAddress {
  host: string;
  port: number;
}

const form = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/]+)):(\d{1,5})$/;
const lastPort = 65_535;

/** `host:port` as people write it: 127.0.0.1:8776, [::1]:8776. */
export const listenAddress = z
  .string()
  .refine((text) => Number(form.exec(text)?.[3] ?? Number.NaN) <= lastPort, {
    error: 'is not an address (host:port, e.g. 127.0.0.1:8776 or [::1]:8776)',
  })
  .transform((text): ListenAddress => {
    const [, six, host = six, port] = form.exec(text)!;
    return { host: host!, port: Number(port) };
  });

import { once } from 'node:events';
import type { Server } from 'node:http';
import { FerryError } from '../model/errors.ts';

/** A small server for what watches Ferry, at an address of the configuration. */
export interface Listening {
  /** Where it listens; another port than was asked for when that was 0. */
  readonly port: number;
  /** Ends it, and every connection to it. */
  stop(): Promise<void>;
}

/** Listens at `address` (host:port), which the configuration has as `setting`. `InvalidInput` when the address cannot be had. */
export async function listenAt(server: Server, setting: string, address: string): Promise<Listening> {
  const { hostname, port } = new URL(`http://${address}`);
  server.maxConnections = 64;
  try {
    server.listen(Number(port || 80), hostname.replace(/^\[|\]$/g, ''));
    await once(server, 'listening');
  } catch (error) {
    const message = `"${setting}" ${address} cannot be had: ${(error as Error).message}`;
    throw new FerryError('InvalidInput', message, {}, { cause: error });
  }
  const at = server.address();
  return {
    port: at !== null && typeof at === 'object' ? at.port : Number(port),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

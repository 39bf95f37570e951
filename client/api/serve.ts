import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import { FerryError } from '../../model/errors.ts';

/** An API that is being served. */
export interface ServedApi {
  /** `http://127.0.0.1:8776` */
  url: string;
  /** Takes no new request; resolves when those under way are answered. */
  close(): Promise<void>;
}

/** Serves the API at `host:port`; port 0 is any free one. `InvalidInput` when it cannot listen there. */
export async function serveApi(
  app: { fetch: Hono['fetch'] },
  { host, port }: { host: string; port: number },
): Promise<ServedApi> {
  const server = createAdaptorServer({ fetch: app.fetch });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new FerryError('InvalidInput', `The API cannot listen at ${host}:${port}: ${(error as Error).message}`);
  }
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      if ('closeIdleConnections' in server) server.closeIdleConnections();
      await closed;
    },
  };
}

import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { createServer, Server as TlsServer } from 'node:https';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Logger } from 'pino';
import { FerryError } from '../../model/errors.ts';
import { type CertificateFiles, readCertificate, watchCertificate } from './certificate.ts';

/** An API that is being served. */
export interface ServedApi {
  /** `http://127.0.0.1:8776`; `https:` with a certificate. */
  url: string;
  /** Takes no new request; resolves when those under way are answered. */
  close(): Promise<void>;
}

/** How it speaks TLS; a certificate that is renewed in its files is in use from then on. */
export interface ApiTls extends CertificateFiles {
  readonly log: Logger;
  /** How often its files are looked at. Milliseconds. */
  readonly lookEveryMs?: number;
}

/** Serves the API at `host:port`; port 0 is any free one. `InvalidInput` when it cannot listen there, or has no certificate to use. */
export async function serveApi(
  app: { fetch: Hono['fetch'] },
  { host, port, tls }: { host: string; port: number; tls?: ApiTls | undefined },
): Promise<ServedApi> {
  const first = tls && (await readCertificate(tls));
  const server = createAdaptorServer({
    fetch: app.fetch,
    ...(first && { createServer, serverOptions: { ...first, minVersion: 'TLSv1.2' } }),
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new FerryError('InvalidInput', `The API cannot listen at ${host}:${port}: ${(error as Error).message}`);
  }
  const { port: actual } = server.address() as AddressInfo;
  const watching =
    tls && first && server instanceof TlsServer
      ? watchCertificate(tls, {
          ...{ first, log: tls.log, everyMs: tls.lookEveryMs },
          use: (certificate) => server.setSecureContext({ ...certificate, minVersion: 'TLSv1.2' }),
        })
      : null;
  return {
    url: `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${actual}`,
    async close() {
      watching?.stop();
      const closed = once(server, 'close');
      server.close();
      if ('closeIdleConnections' in server) server.closeIdleConnections();
      await closed;
    },
  };
}

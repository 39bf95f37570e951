import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

/** A Temporal that lets in only who has a certificate of one authority. */
export interface GuardedTemporal {
  readonly address: string;
  /** From now on only these are let in; whoever is connected is thrown out. */
  trust(certificates: string): Promise<void>;
  close(): void;
}

/** In front of the Temporal at `address`, with the server's certificate of that folder, and for clients with one of its authority. */
export async function guardTemporal(address: string, certificates: string): Promise<GuardedTemporal> {
  const [host = '', port] = address.split(':');
  const files = async (folder: string) => ({ ca: await readFile(path.join(folder, 'ca-cert.pem')) });
  const own = {
    key: await readFile(path.join(certificates, 'server-key.pem')),
    cert: await readFile(path.join(certificates, 'server-cert.pem')),
  };
  const sockets = new Set<tls.TLSSocket>();
  const guard = tls.createServer(
    {
      ...own,
      ...(await files(certificates)),
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ['h2'],
      // A session that is resumed would not be asked for its certificate again.
      minVersion: 'TLSv1.3',
      sessionTimeout: 1,
    },
    (client) => {
      const server = net.connect(Number(port), host);
      sockets.add(client);
      client.pipe(server).pipe(client);
      client
        .on('error', () => server.destroy())
        .on('close', () => {
          sockets.delete(client);
          server.destroy();
        });
      server.on('error', () => client.destroy());
    },
  );
  guard.on('tlsClientError', () => {});
  guard.listen(0, '127.0.0.1');
  await once(guard, 'listening');
  const throwOut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    address: `127.0.0.1:${(guard.address() as AddressInfo).port}`,
    async trust(folder) {
      guard.setSecureContext({ ...own, ...(await files(folder)) });
      throwOut();
    },
    close() {
      guard.close();
      throwOut();
    },
  };
}

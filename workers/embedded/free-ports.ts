import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Below the ports that systems give to outgoing connections: one of those could take the port before its server does, or while that is
 * being restarted.
 */
const [lowest, beyond] = [15_000, 32_000];

/** So many different TCP ports of the loopback that nobody uses now. */
export async function freePorts(count: number): Promise<number[]> {
  const taken: { port: number; server: Server }[] = [];
  while (taken.length < count) {
    const port = randomInt(lowest, beyond);
    const server = await listen(port);
    if (server) taken.push({ port, server });
  }
  await Promise.all(taken.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return taken.map(({ port }) => port);
}

/** Null when somebody has the port. */
function listen(port: number): Promise<Server | null> {
  const server = createServer();
  return new Promise((resolve, reject) =>
    server
      .once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)))
      .listen(port, '127.0.0.1', () => resolve(server)),
  );
}

import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Below the ports that systems give to outgoing connections: one of those could take the port before its server does, or while that is
 * being restarted.
 */
const lowest = 15_000;
const blocks = 170;
const blockSize = 100;

/** The ports that are this process's to give: its block, and how many of it were given. */
let mine: Promise<{ from: number; given: number }> | undefined;

/**
 * So many different TCP ports of the loopback that nobody uses now. No other process that asks here gets one of them while this one runs, also
 * before its server listens and while that is being restarted.
 */
export async function freePorts(count: number): Promise<number[]> {
  mine ??= ownBlock();
  const block = await mine;
  const taken: { port: number; server: Server }[] = [];
  for (let tries = 0; taken.length < count; tries += 1) {
    if (tries > 2 * blockSize) throw new Error(`no ${count} of the ports from ${block.from} on are free`);
    const port = block.from + nth(block.given++);
    const server = await listen(port);
    if (server) taken.push({ port, server });
  }
  await Promise.all(taken.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return taken.map(({ port }) => port);
}

/** Places in a block, those apart from each other first: who needs another port right beside its own finds that free. */
function nth(given: number): number {
  const [tens, ones] = [given % 10, Math.floor(given / 10) % 10];
  return tens * 10 + ((ones * 5 + Math.floor(ones / 2) * 3) % 10);
}

/** Takes a block by a socket of its name, which ends with the process. */
async function ownBlock(): Promise<{ from: number; given: number }> {
  const first = randomInt(blocks);
  for (let tries = 0; tries < blocks; tries += 1) {
    const block = (first + tries) % blocks;
    const server = await listen(`\0ferry-ports-${block}`);
    if (!server) continue;
    server.unref();
    return { from: lowest + block * blockSize, given: 0 };
  }
  throw new Error('all ports for tests and development are given to other processes');
}

/** Null when somebody has it. */
function listen(at: number | string): Promise<Server | null> {
  const server = createServer();
  const where = typeof at === 'number' ? { port: at, host: '127.0.0.1' } : { path: at };
  return new Promise((resolve, reject) =>
    server
      .once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)))
      .listen(where, () => resolve(server)),
  );
}

import { readFile } from 'node:fs/promises';
import type { RunCommand } from '../run-command.ts';
import { readAddress } from './servers.ts';
import type { PortRange } from './start-server.ts';

/** A client says at once what it wants of a server that greets. Milliseconds. */
const saysWithinMs = 3_000;

/** Less than any client has said when it has chosen an export, or begun TLS. Bytes. */
const leastSaid = 64;

/** So many may wait for a server that has somebody: a guest that comes back before its dead connection is found, and who only looks. */
const mayWait = 3;

/** A connection to an export, as the system's table has it. */
interface Connection {
  /** `address:port` of each end. */
  readonly local: string;
  readonly remote: string;
  /** The server has not taken it yet, and so not greeted. */
  readonly waits: boolean;
}

/**
 * Cuts connections to exports on which nothing is said. qemu-nbd waits for a client's first word for ever, and a writable export has one place:
 * who connects and is silent would keep the rightful guest out, as would many that wait in front of it. Who waits alone, for one that is served,
 * is left. To be called every few seconds. Answers with who was cut.
 */
export function createCutSilent(ports: PortRange, run: RunCommand, now = () => performance.now()) {
  /** Since when each is seen; null: it has said something. */
  const known = new Map<string, number | null>();
  // Its time begins anew when it is greeted.
  const keyOf = ({ local, remote, waits }: Connection) => `${local} ${remote} ${waits}`;

  return async (): Promise<string[]> => {
    const found = await connectionsTo(ports);
    const keys = new Set(found.map(keyOf));
    for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    for (const each of found) if (!known.has(keyOf(each))) known.set(keyOf(each), now());
    const waiting = (port: string) => found.filter(({ local, waits }) => waits && local === port).length;
    const late = found.filter((each) => {
      const since = known.get(keyOf(each));
      if (since == null || now() - since < saysWithinMs) return false;
      return !each.waits || waiting(each.local) > mayWait;
    });
    if (late.length === 0) return [];
    const said = await saidOn(ports, run);
    const cut: string[] = [];
    for (const each of late) {
      const bytes = said.get(`${each.local} ${each.remote}`);
      // Gone meanwhile.
      if (bytes === undefined) continue;
      if (bytes >= leastSaid) known.set(keyOf(each), null);
      else {
        await run(['ss', '--kill', '--no-header', '--tcp', 'src', each.local, 'dst', each.remote]);
        cut.push(each.remote);
      }
    }
    return cut;
  };
}

/** Asked of a file, which costs nothing: mostly there is nobody new. */
async function connectionsTo({ from, to }: PortRange): Promise<Connection[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) => readFile(`/proc/net/${table}`, 'latin1').catch(() => '')),
  );
  return tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => {
      const port = Number.parseInt(local.split(':')[1] ?? '', 16);
      return state === '01' && port >= from && port <= to;
    })
    .map((fields) => ({
      local: short(readAddress(fields[1]!)),
      remote: short(readAddress(fields[2]!)),
      waits: fields[9] === '0',
    }));
}

/** As `ss` writes it. */
function short(address: string): string {
  const [, host, port] = /^(\[.*\]):(\d+)$/.exec(address) ?? [];
  return host === undefined ? address : `${new URL(`http://${host}`).hostname}:${port}`;
}

/** How many bytes have come by each connection. */
async function saidOn({ from, to }: PortRange, run: RunCommand): Promise<Map<string, number>> {
  const range = ['sport', '>=', `:${from}`, 'and', 'sport', '<=', `:${to}`];
  const { stdout } = await run([
    ...(['ss', '--tcp', '--numeric', '--info', '--oneline', '--no-header', 'state', 'established'] as const),
    ...range,
  ]);
  const said = new Map<string, number>();
  // A kernel that does not tell how a connection is, tells of none.
  for (const line of stdout.split('\n').filter((each) => /\brto:/.test(each))) {
    const [, , local = '', remote = ''] = line.trim().split(/\s+/);
    const plain = (address: string) => address.replace(/^\[::ffff:([0-9.]+)\]/, '$1');
    said.set(`${plain(local)} ${plain(remote)}`, Number(/bytes_received:(\d+)/.exec(line)?.[1] ?? 0));
  }
  return said;
}

import { rm, stat } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { join, resolve } from 'node:path';
import { FerryError } from '../../../model/errors.ts';
import { peerName } from '../../../model/peer-names.ts';
import { checkName, checkTags } from '../device-name.ts';
import { type ExportAddress, type Exports, isOfCopy } from '../exports.ts';
import { withNamedLock } from '../file-lock.ts';
import { exportInUse } from '../refusals.ts';
import type { RunCommand } from '../run-command.ts';
import { createRecords } from './records.ts';
import { pidFiles, type ServerSettings } from './server-command.ts';
import { clientsOf, endServer, listens, runningServers, type Server } from './servers.ts';
import { createStartServer, type PortRange } from './start-server.ts';

export interface QemuNbdExportsOptions {
  /** Keeps the exports' tags and pid files, in `exports/`; one for all workers of the node. */
  readonly stateDirectory: string;
  /** Where the servers listen and other nodes reach them. */
  readonly address: string;
  readonly ports: PortRange;
  /** Folder of the certificates; null is no TLS. */
  readonly tls: { readonly directory: string } | null;
  /**
   * With TLS: which machines an export is for. Not given: all whose certificate is good. None is nobody, and refused.
   */
  readonly peersOf?: ((exportName: string) => Promise<readonly string[]>) | undefined;
  readonly insecureNetwork: boolean;
  readonly run: RunCommand;
  /** Where Node keeps what it has compiled of a server of our own; not given: where it keeps that of this process, if anywhere. */
  readonly compileCache?: string | undefined;
}

/**
 * Exports by one server each, in a session of its own: `qemu-nbd` for what guests use, one of our own for what copies read. Its
 * command line says what it serves and is read back from the system at every call, so that a lost or stale state folder misleads nobody.
 */
export function createQemuNbdExports(options: QemuNbdExportsOptions): Exports {
  const { address, ports, run, compileCache = process.env['NODE_COMPILE_CACHE'] } = options;
  const tlsDirectory = options.tls && resolve(options.tls.directory);
  if (!isLoopback(address) && tlsDirectory === null && !options.insecureNetwork) {
    throw new FerryError(
      'InvalidInput',
      `exports on ${address} could be read and written by anyone who reaches it: configure node.tls, or node.insecureNetwork for a network of the nodes' own`,
    );
  }
  const folder = resolve(options.stateDirectory, 'exports');
  const records = createRecords(folder);
  const { start: startServer, join: joinServer } = createStartServer({ folder, ports, run, compileCache });

  const addressOf = ({
    exportName,
    port,
    digests,
  }: Pick<Server, 'exportName' | 'port' | 'digests'>): ExportAddress => ({
    host: address,
    port,
    exportName,
    tls: tlsDirectory !== null,
    ...(digests && { digests }),
  });

  async function peersOf(exportName: string): Promise<readonly string[] | null> {
    if (tlsDirectory === null || !options.peersOf) return null;
    const peers = await options.peersOf(exportName);
    if (peers.length === 0)
      throw new FerryError('InvalidInput', `the registry knows nobody whom the export ${exportName} is for`, {
        exportName,
      });
    const odd = peers.find((peer) => !peerName.safeParse(peer).success);
    if (odd === undefined) return peers;
    throw new FerryError(
      'InvalidInput',
      `no certificate can have the name of the machine that the export ${exportName} is for: ${odd}`,
    );
  }

  /** One at a time for a name, so that two that ensure the same get the same server. */
  async function alone<T>(exportName: string, action: () => Promise<T>): Promise<T> {
    await records.prepare();
    return withNamedLock(join(folder, 'locks'), exportName, action);
  }

  /** Mostly one; two while a guest is migrated. */
  async function serversOf(exportName: string): Promise<Server[]> {
    return (await runningServers(folder)).filter((server) => server.exportName === exportName);
  }

  /** What is set otherwise now, the node's address or its certificates, is no reason to take a guest's disk away. */
  async function refuseIfConnected(servers: readonly Server[]): Promise<void> {
    for (const server of servers.filter((each) => !isOfCopy(each))) {
      const clients = await clientsOf(server);
      if (clients.length > 0) throw exportInUse(server.exportName, clients);
    }
  }

  async function endServers(servers: readonly Server[], exportName: string): Promise<void> {
    await Promise.all(servers.map(endServer));
    for (const file of pidFiles(folder, exportName)) await rm(file, { force: true });
  }

  async function end(servers: readonly Server[], exportName: string): Promise<void> {
    await endServers(servers, exportName);
    await records.remove(exportName);
  }

  return {
    async ensure({ exportName, path, writable, tags, port: preferred }) {
      checkName(exportName, 'export');
      checkTags(tags);
      if (!path.startsWith('/')) throw new FerryError('InvalidInput', `${path} is not an absolute path`);
      const peers = await peersOf(exportName);
      const wanted = { exportName, path, writable, address, tlsDirectory, peers };
      return alone(exportName, async () => {
        const running = await runningServers(folder);
        const named = running.filter((server) => server.exportName === exportName);
        const [server] = named;
        if (server && named.length === 1 && serves(server, wanted) && (await listens(server))) {
          await records.write(exportName, { tags, port: server.port });
          return addressOf(server);
        }
        await refuseIfConnected(named);
        await endServers(named, exportName);
        await records.write(exportName, { tags, port: preferred ?? null });
        try {
          // A dead server's clients come back to its port: nobody else gets it as long as there is another one.
          const port = await startServer(
            wanted,
            { taken: new Set(running.map((other) => other.port)), reserved: await records.portsOfOthers(exportName) },
            preferred,
          );
          await records.write(exportName, { tags, port });
          return addressOf({ exportName, port, digests: isOfCopy(wanted) });
        } catch (error) {
          // Cancelled or out of time: the server may have come up nevertheless.
          const late = await serversOf(exportName);
          // One that is to come back to its port keeps it until then.
          await (preferred === undefined ? end : endServers)(late, exportName);
          throw error;
        }
      });
    },

    async admit(exportName, peer) {
      checkName(exportName, 'export');
      await alone(exportName, async () => {
        const [server, another] = await serversOf(exportName);
        if (!server) throw new FerryError('DeviceMissing', `there is no export ${exportName} to let ${peer} in`);
        if (another || !server.writable || (await clientsOf(server)).length === 0) return;
        const [first, second] = pidFiles(folder, exportName);
        const isBlock = (await stat(server.path)).isBlockDevice();
        const joined = { isBlock, pidFile: server.pidFile === first ? second : first };
        const peers = server.peers === null ? null : [peer];
        await joinServer({ ...server, peers }, { pid: server.pid, joined });
      });
    },

    async settle(exportName) {
      checkName(exportName, 'export');
      await alone(exportName, async () => {
        const named = await serversOf(exportName);
        if (named.length < 2) return;
        const clients = await Promise.all(named.map(clientsOf));
        const left = named.filter((_, i) => clients[i]!.length === 0);
        // With nobody at either the one that came last goes: who was migrated is on his way back to the other.
        const ending = left.length < named.length ? left : left.toSorted(byStart).slice(1);
        for (const server of ending) {
          await endServer(server);
          await rm(server.pidFile, { force: true });
        }
      });
    },

    async remove(exportName) {
      checkName(exportName, 'export');
      await alone(exportName, async () => {
        await end(await serversOf(exportName), exportName);
      });
    },

    async clients(exportName) {
      checkName(exportName, 'export');
      return (await Promise.all((await serversOf(exportName)).map(clientsOf))).flat();
    },

    async list() {
      const servers = await runningServers(folder);
      // One that only starts or ends serves nobody.
      const listening = await Promise.all(servers.map(listens));
      return Promise.all(
        servers
          .filter((_, i) => listening[i])
          .map(async (server) => ({
            exportName: server.exportName,
            path: server.path,
            writable: server.writable,
            tags: await records.tags(server.exportName),
            pid: server.pid,
            address: addressOf(server),
          })),
      );
    },
  };
}

/** The one that was started first comes first. */
const byStart = (a: Server, b: Server) => Number(a.startTime) - Number(b.startTime);

function serves(server: Server, wanted: Omit<ServerSettings, 'port'>): boolean {
  // One of an earlier version lets more of them in: it is not taken away from its guest for that.
  const lets = server.peers === null || wanted.peers === null || server.peers.join() === wanted.peers.join();
  return lets && (['path', 'writable', 'address', 'tlsDirectory'] as const).every((key) => server[key] === wanted[key]);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(address: string): boolean {
  return address === 'localhost' || loopback.check(address, 'ipv4') || loopback.check(address, 'ipv6');
}

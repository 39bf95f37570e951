import { setTimeout as sleep } from 'node:timers/promises';
import type { ExportAddress } from '../../model/connection.ts';
import { exportInUse, volumeInUse } from './refusals.ts';

export type { ExportAddress };

/**
 * The NBD exports of one storage node: one server process each, which outlives the worker. What runs is asked of the system
 * every time; the state folder only says where to look.
 */
export interface Exports {
  /**
   * Exports `path` under `exportName`. Already exported so and alive: the same address again. A leftover of another path or a
   * dead server is replaced, unless somebody is connected to it: `VolumeInUse`. A writable export takes one client only: the fence against
   * two writers. `port`: that one, if nobody has it, so that clients of a server that is gone find the new one.
   */
  ensure(spec: {
    exportName: string;
    path: string;
    writable: boolean;
    tags: readonly string[];
    port?: number | undefined;
  }): Promise<ExportAddress>;

  /**
   * Lets one more client in, `peer` by its certificate, beside the one that is there: while libvirt migrates a guest, two QEMUs have its
   * disk, of which only one writes at a time by their own hand-over. Nobody is there: nothing is done, there is room. May be repeated.
   */
  admit(exportName: string, peer: string): Promise<void>;

  /** Ends what was let in beside another, or what that one has left: one client again. While both are there nothing happens. May be repeated. */
  settle(exportName: string): Promise<void>;

  /** Ends the server and waits until its process is gone. Not there: nothing happens. */
  remove(exportName: string): Promise<void>;

  /** Who is connected to the export: `address:port` of each. */
  clients(exportName: string): Promise<string[]>;

  /** What is exported now. */
  list(): Promise<Exported[]>;
}

/** An export that somebody can connect to. */
export interface Exported {
  readonly exportName: string;
  readonly path: string;
  readonly writable: boolean;
  readonly tags: readonly string[];
  readonly pid: number;
  readonly address: ExportAddress;
}

/**
 * Ends every export of the device but one. `VolumeInUse` when somebody is connected to one of them: whoever that is may be writing, and
 * must be told to let go first.
 */
export async function endExports(exports: Exports, path: string, but: string | null = null): Promise<void> {
  const others = (await exports.list()).filter((each) => each.path === path && each.exportName !== but);
  const refusal = (users: readonly string[]) => volumeInUse(path, users);
  await untilUnused(refusal, async () => {
    const connected = await Promise.all(others.map(({ exportName }) => exports.clients(exportName)));
    return others.flatMap(({ exportName }, i) => clientsOf(exportName, connected[i] ?? []));
  });
  for (const { exportName } of others) await exports.remove(exportName);
}

/** What only a copy of Ferry's reads through; nobody's writes are cut off with it. */
export const isOfCopy = ({ exportName, writable }: { exportName: string; writable: boolean }) =>
  !writable && (exportName.startsWith('migration-') || exportName.startsWith('copy-'));

/**
 * Ends one export. `VolumeInUse` when somebody is connected to it and stays, whoever that is: a guest may write through it, under whatever
 * name it runs by now. What a copy reads through is ended all the same. Not there: nothing happens.
 */
export async function endExport(exports: Exports, exportName: string): Promise<void> {
  const found = (await exports.list()).find((each) => each.exportName === exportName);
  if (found && !isOfCopy(found)) {
    const refusal = (clients: readonly string[]) => exportInUse(exportName, clients);
    await untilUnused(refusal, () => exports.clients(exportName), farewellMs);
  }
  await exports.remove(exportName);
}

/** Who writes, or could write, to a device through these exports of it, but for one; in words. */
export async function writersThrough(
  served: readonly Pick<Exported, 'exportName' | 'writable'>[],
  exports: Exports,
  but?: string,
): Promise<string[]> {
  const writable = served.filter((each) => each.writable && each.exportName !== but);
  const clients = await Promise.all(writable.map(({ exportName }) => exports.clients(exportName)));
  return writable.flatMap(({ exportName }, i) => {
    const connected = clientsOf(exportName, clients[i] ?? []);
    return connected.length > 0 ? connected : [`the writable export ${exportName}, to which nobody is connected now`];
  });
}

const clientsOf = (exportName: string, addresses: readonly string[]) =>
  addresses.map((address) => `${address}, connected to the export ${exportName}`);

/** Who used a device until just now may not have let go of it yet: it is asked for so long, with a pause in between. Milliseconds. */
const lettingGoMs = 2_000;
const pauseMs = 400;

/** A guest that has let go of its disk is heard before its QEMU has closed it. Milliseconds. */
export const farewellMs = 10_000;

/** Asks until there is no user; throws the refusal that names those that stay. */
export async function untilUnused(
  refusal: (users: readonly string[]) => Error,
  users: () => Promise<readonly string[]>,
  patienceMs = lettingGoMs,
): Promise<void> {
  // By the clock: on a node that is busy a single look takes seconds, and whoever asks does not wait for ever.
  for (const deadline = performance.now() + patienceMs; ;) {
    const found = await users();
    if (found.length === 0) return;
    if (performance.now() >= deadline) throw refusal(found);
    await sleep(pauseMs);
  }
}

import { glob, mkdir, open, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ferry } from '../../client/open-ferry.ts';
import { type FaultyFiles, type FileFault } from '../../testbed/faulty-files.ts';
import { standingOf } from '../../model/device.ts';
import { exportServers } from '../end-to-end/export-servers.ts';
import { cutConnections } from './cut-connections.ts';
import type { World } from './living-volume.ts';
import { chaosNodes, type Disturbance } from './scenario.ts';
import type { Stage } from '../end-to-end/stage.ts';
import type { TendedWorker } from './tended-worker.ts';

/** How long an evacuation is let go on before it is cancelled. Milliseconds. */
const evacuationMs = 15_000;
/** More than any back end has. Bytes. */
const everything = 64 * 1024 ** 4;

/** How long a copy is waited for. Milliseconds. */
const copyPatienceMs = 15_000;
const lookEveryMs = 50;

/** What can be harmed, and those who tell of it. */
export interface Victim extends World {
  files: FaultyFiles;
  /** By their names. */
  workers: ReadonlyMap<string, TendedWorker>;
}

/** Does harm to a stage. What it suspends, fills, breaks or disables is made good when it resolves. */
export async function disturb({ stage, ferry, files, tally, past, workers }: Victim, it: Disturbance): Promise<void> {
  const nodes = join(stage.directory, 'nodes');
  const folderOf = (backEnd: string) => join(nodes, ...backEnd.split('@'));
  const faulty = async (backEnd: string, fault: FileFault, ms: number) => {
    await files.inject(folderOf(backEnd), fault);
    await sleep(ms);
    await files.heal(folderOf(backEnd));
  };
  tally.count('disturbance', it.what);
  switch (it.what) {
    case 'a worker is killed':
      return workers.get(it.worker)?.signal('SIGKILL');
    case 'a worker is suspended':
      await workers.get(it.worker)?.signal('SIGSTOP');
      await sleep(it.ms);
      return workers.get(it.worker)?.signal('SIGCONT');
    case 'an export server is killed': {
      const server = pick(await exportServers(nodes), it.which);
      if (server) process.kill(server.pid, 'SIGKILL');
      return;
    }
    case 'connections are cut': {
      const ports = {
        Temporal: async () => Number(stage.temporal.address.split(':')[1]),
        Postgres: async () => Number(new URL(stage.postgres.url).port),
        'an export server': async () => pick(await exportServers(nodes), it.which)?.port,
      };
      const port = await ports[it.to]();
      return port === undefined ? undefined : cutConnections(port);
    }
    case 'Temporal crashes':
      await stage.temporal.crash();
      return stage.temporal.restart();
    case 'Postgres crashes':
      await stage.postgres.crash();
      return stage.postgres.restart();
    case 'a back end is full': {
      const volumes = join(folderOf(it.backEnd), 'volumes');
      const stranger = join(volumes, 'stranger');
      // Made with the first volume otherwise.
      await mkdir(volumes, { recursive: true, mode: 0o700 });
      await writeFile(stranger, '');
      await truncate(stranger, everything).catch(() => truncate(stranger, everything / 8));
      await sleep(it.ms);
      return rm(stranger);
    }
    case 'a back end gives I/O errors':
      return faulty(it.backEnd, { errors: it.errors }, it.ms);
    case 'a back end is slow':
      return faulty(it.backEnd, { delayMs: it.delayMs }, it.ms);
    case 'a file system is not mounted': {
      const mountPoint = folderOf(it.backEnd);
      await rename(mountPoint, `${mountPoint}.away`);
      await mkdir(mountPoint);
      await sleep(it.ms);
      // Fails when anything was placed there.
      await rmdir(mountPoint);
      return rename(`${mountPoint}.away`, mountPoint);
    }
    case "a node's back ends swap their paths": {
      const { name, groups } = chaosNodes[it.node]!;
      const [one, other] = groups.map((group) => join(nodes, name, group)) as [string, string];
      const swap = async () => {
        await rename(one, `${one}.away`);
        await rename(other, one);
        await rename(`${one}.away`, other);
      };
      await swap();
      await sleep(it.ms);
      return swap();
    }
    case 'a stranger has a device open for writing': {
      const file = pick(await Array.fromAsync(glob(join(nodes, '*/*/volumes/volume-*'))), it.which);
      // It may be deleted meanwhile.
      const stranger = file === undefined ? null : await open(file, 'r+').catch(() => null);
      await sleep(it.ms);
      return stranger?.close();
    }
    case 'bytes flip as a copy is written': {
      // Of what nobody reads back nobody can know.
      const device = await incomingDevice(stage, past.unproven, it.which);
      if (device === null) return tally.count('no copy to flip', 'there was none');
      await files.inject(device, { flips: it.share });
      await sleep(it.ms);
      return files.heal(device);
    }
    case 'a back end is evacuated':
      try {
        await ferry.startEvacuation({ source: it.backEnd, nodeTimeoutSeconds: 120 });
        await sleep(evacuationMs);
        await ferry.cancelMoves(it.backEnd, it.cancelled ? 'cancel' : 'finish').catch(() => {});
      } catch (error) {
        tally.count('evacuation refused', (error as { type?: string }).type ?? String(error));
      }
      return enabled(ferry, it.backEnd);
  }
}

/** The file of a device that a migration is making, of a volume other than these; null: there was none for a while. */
async function incomingDevice(stage: Stage, but: ReadonlySet<string>, which: number): Promise<string | null> {
  for (const deadline = Date.now() + copyPatienceMs; Date.now() < deadline; await sleep(lookEveryMs)) {
    const incoming = (await stage.sight.devices()).filter(({ tags }) => {
      const { role, volumeId } = standingOf(tags);
      return role === 'incoming' && volumeId !== null && !but.has(volumeId);
    });
    const found = pick(incoming, which);
    if (found) return join(stage.directory, 'nodes', found.place[0], found.place[1], 'volumes', found.place[2]);
  }
  return null;
}

/** Postgres may be away at the moment. */
async function enabled(ferry: Ferry, backEnd: string): Promise<void> {
  for (;;) {
    try {
      await ferry.enableBackEnd(backEnd);
      return;
    } catch {
      await sleep(1000);
    }
  }
}

function pick<T>(all: readonly T[], which: number): T | undefined {
  return all[which % all.length];
}

import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { backEndState } from '../../model/back-end.ts';
import { standingOf } from '../../model/device.ts';
import { exportServers } from '../end-to-end/export-servers.ts';
import type { Victim } from './disturb.ts';
import { backUpRegistry } from '../end-to-end/registry-backup.ts';
import { until } from './answers.ts';
import { makeTrue } from './operator.ts';
import { chaosNodes, type Upheaval } from './scenario.ts';

/** So often a rename is tried before the worker is let do what waits for it, and for so long. Its end is heard of only later. */
const renameTries = 120;
const catchUpMs = 20_000;

/** By which a directory says whose it is. */
const markFile = '.ferry-back-end.json';

/** What can be turned upside down. */
export interface Whole extends Victim {
  /** Something else befalls the system; false: nobody is left that it could befall. */
  disturbOnce: () => Promise<boolean>;
}

/** Turns the whole system upside down, and makes it good as the documents tell operators to. Throws `Violation` when that cannot be done. */
export async function turnUpsideDown(whole: Whole, it: Upheaval): Promise<void> {
  const { tally } = whole;
  tally.count('upheaval', it.what);
  switch (it.what) {
    case 'the registry is restored from an older copy':
    case 'a standby without the last commits takes over':
      return goBackInTime(whole, it);
    case 'the disks of a back end are lost for good':
      return loseDisks(whole, it.backEnd);
    case 'a node is renamed, and back again':
      return renameNode(whole, chaosNodes[it.node]!.name);
  }
}

/** As docs/operations.md says: the control worker rests only while a backup is restored; nobody announces that a standby takes over. */
async function goBackInTime(whole: Whole, { what, ageMs }: Extract<Upheaval, { ageMs: number }>): Promise<void> {
  const { stage, past, workers, disturbOnce } = whole;
  const control = workers.get('control')!;
  const copy = await backUpRegistry(stage);
  for (const since = Date.now(); Date.now() - since < ageMs;) await disturbOnce();
  const isRestored = what === 'the registry is restored from an older copy';
  await past.upheaval(async () => {
    if (isRestored) await control.stop();
    await copy.restore();
    control.mayStart();
    await makeTrue(whole);
  });
  await copy.discard();
}

/**
 * A machine dies, and when it is there again one of its back ends has new, empty disks. Only volumes whose newest live device was there may be
 * lost, and each of those is told by name.
 */
async function loseDisks(whole: Whole, backEnd: string): Promise<void> {
  const { stage, ferry, past, tally, workers } = whole;
  const [node, group] = backEnd.split('@') as [string, string];
  const worker = workers.get(node)!;
  const disks = join(stage.directory, 'nodes', node, group);
  await past.upheaval(async () => {
    await worker.stop();
    for (const { pid } of await exportServers(disks)) process.kill(pid, 'SIGKILL');
    const devices = (await stage.sight.devices()).map(({ place, tags }) => ({ place, ...standingOf(tags) }));
    const isThere = ({ place }: (typeof devices)[number]) => place[0] === node && place[1] === group;
    const mayBeLost = new Set<string>();
    for (const found of devices.filter(isThere)) {
      past.lostDevices.add(found.place[2]);
      const newest = devices
        .filter(({ volumeId, role }) => volumeId === found.volumeId && role === 'live')
        .toSorted((a, b) => b.generation - a.generation)[0];
      if (newest && isThere(newest) && found.volumeId !== null) mayBeLost.add(found.volumeId);
    }
    await rename(disks, join(stage.directory, `lost-${past.now().began}`));
    await mkdir(disks);
    worker.mayStart();
    await until(
      `${backEnd} has new disks`,
      async () => {
        await ferry.adoptStorage({ backEnd, yes: true });
        // Until its worker has looked, the back end is what it was by all that is known.
        await access(join(disks, markFile));
        const found = (await ferry.listBackEnds()).find(({ name }) => name === backEnd)!;
        return backEndState(found, found.asOf) === 'up';
      },
      () => ferry.listBackEnds(),
    );
    await makeTrue(whole, { mayBeLost });
    tally.count('operator', `lost ${mayBeLost.size === 0 ? 'no volume' : 'volumes'} with disks`);
  });
}

/** As docs/operations.md says. Nobody is told: who names its back ends as before is refused meanwhile. */
async function renameNode(whole: Whole, name: string): Promise<void> {
  const { stage, ferry, past, workers } = whole;
  const worker = workers.get(name)!;
  const file = join(stage.directory, 'nodes', name, 'ferry.json');
  const rename = async (from: string, to: string) => {
    await worker.stop();
    // While its worker is still heard of, or something moves from or to it, that is refused. What waits for the worker needs it once more.
    await until(
      `${from} is called ${to}`,
      async (nth) => {
        if (nth % renameTries === renameTries - 1) {
          worker.mayStart();
          await sleep(catchUpMs);
          await worker.stop();
        }
        return (await ferry.renameNode(from, to)).length > 0;
      },
      () => ferry.listMigrations({ running: true }),
    );
    const configuration = JSON.parse(await readFile(file, 'utf8')) as { node: object };
    await writeFile(file, JSON.stringify({ ...configuration, node: { ...configuration.node, name: to } }));
    worker.mayStart();
    await until(
      `${to} is up`,
      async () => {
        const found = (await ferry.listBackEnds()).filter(({ node }) => node === to);
        return found.length > 0 && found.every((each) => backEndState(each, each.asOf) === 'up');
      },
      () => ferry.listBackEnds(),
    );
  };
  await past.upheaval(async () => {
    await rename(name, `${name}-renamed`);
    await rename(`${name}-renamed`, name);
    await makeTrue(whole);
  });
}

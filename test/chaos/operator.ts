import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { RepairReport, VolumeRepair } from '../../model/repair.ts';
import { standingOf } from '../../model/device.ts';
import { exportServers } from '../end-to-end/export-servers.ts';
import { until, Violation } from './answers.ts';
import type { World } from './living-volume.ts';

/** In so many reports, one after the other, nothing is found any more. */
const calmReports = 2;

export interface Losses {
  /** Of volumes whose newest live device was lost. */
  mayBeLost?: ReadonlySet<string>;
}

/**
 * What an operator does until the registry is true again: `ferry repair`, and what that asks people to do. Throws `Violation` when it never
 * is, or when a volume is missing that nobody has deleted.
 */
export async function makeTrue(world: World, { mayBeLost = new Set() }: Losses = {}): Promise<void> {
  const { ferry, tally } = world;
  let calm = 0;
  let last: RepairReport | null = null;
  await until(
    'the registry is true again',
    async () => {
      last = await ferry.repair({ rollForward: true });
      for (const volume of last.volumes) {
        tally.count('repair', volume.state === 'repaired' ? volume.direction : `${volume.direction}: ${volume.state}`);
        if (volume.direction === 'ask') await decide(world, volume, mayBeLost);
      }
      if (mayBeLost.size > 0) await giveUpDestinations(world);
      await removeByHand(world, last);
      // A volume that something is done with is told only when that is over.
      const isTrue = last.volumes.length === 0 && last.unseen.length === 0 && !(await isAnyBusy(world, mayBeLost));
      calm = isTrue ? calm + 1 : 0;
      return calm >= calmReports;
    },
    async () => last,
  );
}

/** What the alert of a single volume makes an operator do, after what was forgotten was made good as far as anybody had seen it. */
export async function makeVolumeTrue(world: World, volumeId: string): Promise<void> {
  const { volumes } = await world.ferry.repair({ volumeId, rollForward: true });
  for (const volume of volumes) if (volume.direction === 'ask') await decide(world, volume, new Set());
}

async function isAnyBusy({ ferry }: World, volumeIds: ReadonlySet<string>): Promise<boolean> {
  if (volumeIds.size === 0) return false;
  const volumes = await ferry.listVolumes();
  return volumes.some(
    ({ id, operation, migrationOwner }) => volumeIds.has(id) && (operation ?? migrationOwner) !== null,
  );
}

/** The answer to what `ferry repair` leaves to people. */
async function decide(world: World, told: VolumeRepair, mayBeLost: ReadonlySet<string>): Promise<void> {
  const { stage, past, tally } = world;
  const { volumeId, why } = told;
  const writer = /\(process (\d+)\) lets somebody write/.exec(why)?.[1];
  if (writer !== undefined) {
    const servers = await exportServers(join(stage.directory, 'nodes'));
    if (servers.some(({ pid }) => pid === Number(writer))) process.kill(Number(writer), 'SIGKILL');
    tally.count('operator', 'ended an export of nobody');
    return;
  }
  if (!/nowhere|no device says that it holds it/.test(why) || /did not answer/.test(why)) return;
  if (mayBeLost.has(volumeId)) past.lost.add(volumeId);
  if (!past.lost.has(volumeId) && !past.unwanted.has(volumeId))
    throw new Violation(`volume ${volumeId} is lost: ${why}`);
  await forget(world, volumeId);
}

/** There is nothing left of the volume. */
async function forget({ ferry, tally }: World, volumeId: string): Promise<void> {
  try {
    await ferry.detachVolume(volumeId).catch(() => {});
    await ferry.deleteVolume(volumeId, { force: true, cascade: true });
    tally.count('operator', 'forgot a volume that is gone');
  } catch {
    // Somebody is at it: it is told again.
  }
}

/** Whoever waits for a new device that is lost is told so. */
async function giveUpDestinations({ ferry, tally }: World): Promise<void> {
  for (const { volumeId } of await ferry.listMigrations({ running: true })) {
    const state = await ferry.migrationState(volumeId).catch(() => null);
    if (!/if it is lost: ferry migration resolve/.test(state?.waitingFor ?? '')) continue;
    await ferry.resolveMigration(volumeId, 'source').catch(() => {});
    tally.count('operator', 'gave up a new device');
  }
}

/**
 * Removes what `ferry repair` tells to look at and to remove by hand: only devices of volumes that another one holds, of a higher generation
 * or in the place of one that was never whole.
 */
export async function removeByHand({ stage, tally }: World, report: RepairReport): Promise<void> {
  const told = report.orphans.filter(({ kind, removableFrom }) => kind === 'device' && removableFrom === null);
  if (told.length === 0) return;
  const devices = (await stage.sight.devices()).map(({ place, tags }) => ({ place, ...standingOf(tags) }));
  for (const { backEnd, name } of told) {
    const found = devices.find(
      ({ place: [node, group, device] }) => `${node}@${group}/${device}` === `${backEnd}/${name}`,
    );
    if (!found) continue;
    const holder = devices.find(
      ({ volumeId, role, generation }) =>
        volumeId === found.volumeId && role === 'live' && (found.role === 'incoming' || generation > found.generation),
    );
    if (!holder) continue;
    const [node, group, device] = found.place;
    const folder = join(stage.directory, 'nodes', node, group);
    await execa('chattr', ['-i', join(folder, 'volumes', device)], { reject: false });
    await rm(join(folder, 'volumes', device), { force: true });
    await rm(join(folder, 'tags', `${device}.json`), { force: true });
    tally.count('operator', `removed by hand what was ${found.role}`);
  }
}

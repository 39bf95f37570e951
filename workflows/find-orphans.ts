import { patched } from '@temporalio/workflow';
import type { JudgedVolume } from '../activities/repair/judge-volumes.ts';
import type { Inventory, LeftoverDevice } from '../activities/storage/inventory.ts';
import { repair, storageSteps } from './activities.ts';
import { runCleanUp } from './clean-up-steps.ts';
import { reasonOf } from './failures.ts';
import { judgeDevice, judgeExport, type JudgedOrphan } from './orphans.ts';

/** A node that answers does so at once; the next look comes in a minute. Seconds. */
const lookSeconds = 20;
const removeSeconds = 30;

/** What belongs to nobody on the nodes that answer. */
export async function findOrphans(of: {
  volumeId: string | undefined;
  orphanGraceSeconds: number | undefined;
}): Promise<{ orphans: JudgedOrphan[]; volumes: JudgedVolume[]; unseen: { node: string; why: string }[] }> {
  const unseen: { node: string; why: string }[] = [];
  const looks = (await repair.listNodes()).map(async ({ node, up }): Promise<Inventory | null> => {
    if (!up) {
      unseen.push({ node, why: 'its worker is not heard of' });
      return null;
    }
    try {
      return await storageSteps(node, lookSeconds).inventory.executeWithOptions({ summary: `look at ${node}` }, [null]);
    } catch (error) {
      unseen.push({ node, why: reasonOf(error).message });
      return null;
    }
  });
  const inventories = (await Promise.all(looks)).filter((inventory) => inventory !== null);
  for (const { backEnd, why } of inventories.flatMap((i) => i.unseen)) unseen.push({ node: backEnd, why });
  const devices = inventories.flatMap((i) => i.devices);
  const exports = inventories.flatMap((i) => i.exports);
  const judgedVolumes = await repair.judgeVolumes.executeWithOptions({ summary: 'do devices and registry agree?' }, [
    {
      backEnds: inventories.flatMap((i) => i.backEnds),
      devices,
      mismatches: inventories.flatMap((i) => i.mismatches),
      unseen: unseen.map(({ node }) => node),
    },
  ]);
  const volumes = judgedVolumes.filter(({ told }) => of.volumeId === undefined || told.volumeId === of.volumeId);
  if (devices.length + exports.length === 0) return { orphans: [], volumes, unseen };
  const facts = await repair.factsOfLeftovers({
    migrationIds: [
      ...new Set(
        [...devices, ...exports]
          .flatMap((found) => found.migrationId ?? [])
          .concat(devices.flatMap(({ heldBy }) => heldBy ?? [])),
      ),
    ],
    volumeIds: [...new Set(devices.flatMap((device) => device.volumeId ?? []))],
  });
  const seen = new Set(inventories.flatMap((i) => i.backEnds));
  /** The volume's own device was not asked: what a migration has copied of it may be all that is left. */
  const mayBeTheLast = ({ migrationId, current, volumeId }: LeftoverDevice): boolean => {
    const volume = facts.volumes.find(({ id }) => id === volumeId);
    const unasked = migrationId !== null && !current && volume !== undefined && !seen.has(volume.host);
    return unasked && patched('copies of what was not asked stay');
  };
  const withGrace = { ...facts, orphanGraceSeconds: of.orphanGraceSeconds ?? facts.orphanGraceSeconds };
  // Exports first: what they show cannot be removed before.
  const judged = [
    ...exports.map((e) => judgeExport(e, withGrace)),
    // What an operator or the repair must look at is nobody's leftover.
    ...devices
      .filter(({ volumeId }) => !judgedVolumes.some(({ told }) => told.volumeId === volumeId))
      .filter((device) => !mayBeTheLast(device))
      .map((d) => judgeDevice(d, withGrace)),
  ].filter((j) => j !== null);
  return {
    orphans: judged.filter(({ orphan }) => of.volumeId === undefined || orphan.volumeId === of.volumeId),
    volumes,
    unseen,
  };
}

/** Removes what may be removed by now; says so in each. What cannot be removed is found again at the next look. */
export async function removeOrphans(judged: readonly JudgedOrphan[]): Promise<void> {
  for (const { orphan, step, isDue } of judged) {
    if (!step || !isDue) continue;
    orphan.removed = (await runCleanUp([step], removeSeconds)).length === 0;
  }
}

import type { Inventory } from '../activities/storage/inventory.ts';
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
}): Promise<{ orphans: JudgedOrphan[]; unseen: { node: string; why: string }[] }> {
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
  if (devices.length + exports.length === 0) return { orphans: [], unseen };
  const facts = await repair.factsOfLeftovers({
    migrationIds: [...new Set([...devices, ...exports].flatMap((found) => found.migrationId ?? []))],
    volumeIds: [...new Set(devices.flatMap((device) => device.volumeId ?? []))],
  });
  const withGrace = { ...facts, orphanGraceSeconds: of.orphanGraceSeconds ?? facts.orphanGraceSeconds };
  // Exports first: what they show cannot be removed before.
  const judged = [
    ...exports.map((e) => judgeExport(e, withGrace)),
    ...devices.map((d) => judgeDevice(d, withGrace)),
  ].filter((j) => j !== null);
  return {
    orphans: judged.filter(({ orphan }) => of.volumeId === undefined || orphan.volumeId === of.volumeId),
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

import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { refusal, type Reason } from '../model/errors.ts';
import { nodeOf } from '../model/ids.ts';
import { backEndNotFound } from './back-ends.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

const named = z.object({ name: z.string() });
const standing = z.object({
  heardOf: z.boolean(),
  volumes: z.number(),
  kept: z.array(z.string()),
  migrations: z.number(),
  plans: z.number(),
  discrepancies: z.number(),
});

/**
 * Forgets a back end, or all of a node: one that is retired, or was a typo. Answers with the names of what was forgotten. Records of
 * migrations keep its name. Refused, with every reason, while its worker is heard of or anything is on it, moves from or to it, or does not
 * fit the registry there. One that reports itself later is a new one; a storage that was the forgotten one's has to be adopted then.
 */
export function forgetBackEnds(registry: Registry, nodeOrBackEnd: string): Promise<string[]> {
  return registry.transaction(async (q) => {
    // In a statement of its own: what is counted then was committed before the locks were got.
    const locked = await q.rows(named, 'SELECT name FROM back_ends WHERE $1 IN (name, node) ORDER BY name FOR UPDATE', [
      nodeOrBackEnd,
    ]);
    if (locked.length === 0) throw backEndNotFound(nodeOrBackEnd);
    const names = locked.map(({ name }) => name);
    const [first, ...others] = reasonsToKeep(nodeOrBackEnd, await standingOf(q, names));
    if (first) throw refusal([first, ...others]);
    await q.rows(noColumns, 'DELETE FROM storages WHERE back_end = ANY ($1)', [names]);
    await q.rows(noColumns, 'DELETE FROM back_ends WHERE name = ANY ($1)', [names]);
    return names;
  });
}

async function standingOf(q: Queries, names: readonly string[]): Promise<z.infer<typeof standing>> {
  const nodes = [...new Set(names.map(nodeOf))];
  const [found] = await q.rows(
    standing,
    `SELECT
       EXISTS (SELECT FROM back_ends WHERE name = ANY ($1) AND now() - heartbeat_at <= $3 * interval '1 ms') AS heard_of,
       (SELECT count(*)::int FROM volumes WHERE host = ANY ($1)) AS volumes,
       ARRAY(SELECT DISTINCT volume_id::text FROM kept_sources WHERE back_end = ANY ($1) ORDER BY 1) AS kept,
       (SELECT count(*)::int FROM migrations WHERE outcome IS NULL AND (source = ANY ($1) OR destination = ANY ($1))) AS migrations,
       (SELECT count(DISTINCT p.id)::int FROM move_plans p LEFT JOIN planned_moves m ON m.plan_id = p.id
        WHERE p.outcome IS NULL AND (p.source = ANY ($1) OR p.source = ANY ($2) OR m.source = ANY ($1) OR m.destination = ANY ($1))) AS plans,
       (SELECT count(*)::int FROM discrepancies WHERE back_end = ANY ($1)) AS discrepancies`,
    [names, nodes, downAfterMs],
  );
  return found!;
}

function reasonsToKeep(what: string, found: z.infer<typeof standing>): Reason[] {
  const reasons: Reason[] = [];
  const add = (type: Reason['type'], message: string) => reasons.push({ type, message });
  if (found.heardOf)
    add(
      'VolumeBusy',
      `The worker of ${what} is still heard of. Stop it, and try again ${downAfterMs / 1000} seconds later.`,
    );
  if (found.volumes > 0) add('VolumeBusy', `${found.volumes} volumes are on it: ferry host evacuate ${what}`);
  if (found.kept.length > 0)
    add('VolumeBusy', `Kept sources are on it, of ${found.kept.join(', ')}: ferry migration discard <volume>`);
  if (found.migrations > 0)
    add(
      'VolumeBusy',
      `${found.migrations} migrations from or to it are under way. See: ferry migration list --running`,
    );
  if (found.plans > 0)
    add('VolumeBusy', `${found.plans} evacuations or balancings with it are under way. See: ferry evacuation list`);
  if (found.discrepancies > 0)
    add('NeedsRepair', `${found.discrepancies} devices on it do not fit the registry. See: ferry repair --dry-run`);
  return reasons;
}

import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { refusal, type Reason } from '../model/errors.ts';
import { backEndNotFound } from './back-ends.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

const named = z.object({ name: z.string() });
const standing = z.object({
  heardOf: z.boolean(),
  migrations: z.number(),
  operations: z.number(),
  plans: z.number(),
  takenNames: z.array(z.string()),
});

/**
 * A storage node has another name from now on: everything that the registry has of it, its records too, is the new name's. A hypervisor of
 * the old name is the same machine, and gets the new one as well. Answers with its back ends' new names. Refused, with every reason, while
 * something moves from or to it, while the worker under the old name is still heard of, and when back ends of the new name have something
 * themselves. What those reported, as the worker does that was started under the new name too early, is forgotten.
 */
export function renameNode(registry: Registry, from: string, to: string): Promise<string[]> {
  return registry.transaction(async (q) => {
    // In a statement of its own: what is counted then was committed before the locks were got.
    const locked = await q.rows(
      named.extend({ node: z.string() }),
      'SELECT name, node FROM back_ends WHERE node IN ($1, $2) ORDER BY name FOR UPDATE',
      [from, to],
    );
    if (!locked.some(({ node }) => node === from)) throw backEndNotFound(from);
    const [first, ...others] = reasonsNotToRename(from, to, await standingOf(q, from, to));
    if (first) throw refusal([first, ...others]);
    return rename(q, from, to);
  });
}

async function standingOf(q: Queries, from: string, to: string): Promise<z.infer<typeof standing>> {
  const [found] = await q.rows(
    standing,
    `SELECT
       EXISTS (SELECT FROM back_ends WHERE node = $1 AND now() - heartbeat_at <= $3 * interval '1 ms') AS heard_of,
       (SELECT count(*)::int FROM migrations WHERE outcome IS NULL AND $1 IN (split_part(source, '@', 1), split_part(destination, '@', 1))) AS migrations,
       (SELECT count(*)::int FROM volumes WHERE split_part(host, '@', 1) = $1 AND operation IS NOT NULL) AS operations,
       (SELECT count(DISTINCT p.id)::int FROM move_plans p LEFT JOIN planned_moves m ON m.plan_id = p.id
        WHERE p.outcome IS NULL AND $1 IN (split_part(p.source, '@', 1), split_part(m.source, '@', 1), split_part(m.destination, '@', 1))) AS plans,
       ARRAY(SELECT b.name FROM back_ends b WHERE b.node = $2 AND (
         EXISTS (SELECT FROM volumes v WHERE v.host = b.name) OR EXISTS (SELECT FROM kept_sources k WHERE k.back_end = b.name)
         OR EXISTS (SELECT FROM storages s WHERE s.back_end = b.name AND s.identity IS NOT NULL)) ORDER BY b.name) AS taken_names`,
    [from, to, downAfterMs],
  );
  return found!;
}

function reasonsNotToRename(from: string, to: string, found: z.infer<typeof standing>): Reason[] {
  const reasons: Reason[] = [];
  const busy = (message: string) => reasons.push({ type: 'VolumeBusy', message });
  if (found.heardOf)
    reasons.push({
      type: 'BackEndDown',
      message: `A worker under the name ${from} is still heard of. Stop it, and try again ${downAfterMs / 1000} seconds later.`,
    });
  if (found.migrations > 0)
    busy(`${found.migrations} migrations from or to ${from} are under way. See: ferry migration list`);
  if (found.operations > 0) busy(`${found.operations} volumes on ${from} are busy. Try again when that is over.`);
  if (found.plans > 0)
    busy(`${found.plans} evacuations or balancings with ${from} are under way. See: ferry evacuation list`);
  if (found.takenNames.length > 0)
    reasons.push({
      type: 'InvalidInput',
      message: `There is a node ${to} already, with a storage or volumes of its own: ${found.takenNames.join(', ')}.`,
    });
  return reasons;
}

async function rename(q: Queries, from: string, to: string): Promise<string[]> {
  const renamed = (column: string) => `$2 || substr(${column}, length($1) + 1)`;
  const isOf = (column: string) => `split_part(${column}, '@', 1) = $1`;
  const change = (statement: string) => q.rows(noColumns, statement, [from, to]);
  await q.rows(noColumns, 'DELETE FROM discrepancies WHERE split_part(back_end, $2, 1) = $1', [to, '@']);
  await q.rows(noColumns, 'DELETE FROM storages WHERE split_part(back_end, $2, 1) = $1', [to, '@']);
  await q.rows(noColumns, 'DELETE FROM back_ends WHERE node = $1', [to]);
  const names = await q.rows(
    named,
    `INSERT INTO back_ends
     SELECT (jsonb_populate_record(b, jsonb_build_object('name', ${renamed('b.name')}, 'node', $2::text))).*
     FROM back_ends b WHERE b.node = $1 ORDER BY b.name RETURNING name`,
    [from, to],
  );
  for (const [table, column] of [
    ['volumes', 'host'],
    ['kept_sources', 'back_end'],
    ['storages', 'back_end'],
    ['discrepancies', 'back_end'],
    ['migrations', 'source'],
    ['migrations', 'destination'],
  ] as const)
    await change(`UPDATE ${table} SET ${column} = ${renamed(column)} WHERE ${isOf(column)}`);
  await change(
    `UPDATE attachments SET connection = connection || jsonb_build_object('backEnd', ${renamed(`(connection ->> 'backEnd')`)})
     WHERE ${isOf(`(connection ->> 'backEnd')`)}`,
  );
  await change(
    `UPDATE attachments SET compute_host = $2 WHERE compute_host = $1 AND NOT EXISTS (SELECT FROM compute_nodes WHERE name = $2)`,
  );
  await change(
    `UPDATE compute_nodes SET name = $2 WHERE name = $1 AND NOT EXISTS (SELECT FROM compute_nodes WHERE name = $2)`,
  );
  await q.rows(noColumns, 'DELETE FROM back_ends WHERE node = $1', [from]);
  return names.map(({ name }) => name);
}

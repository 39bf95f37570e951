import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** Writes that the hypervisor's compute worker was heard of now. May be repeated. */
export async function reportComputeNode(registry: Queries, name: string): Promise<void> {
  await registry.rows(
    noColumns,
    `INSERT INTO compute_nodes (name, heartbeat_at) VALUES ($1, now())
     ON CONFLICT (name) DO UPDATE SET heartbeat_at = excluded.heartbeat_at`,
    [name],
  );
}

/**
 * Whether the hypervisor is one with a compute worker, be it up or not. One that never reported is managed by somebody else, who
 * connects its guests to our exports himself.
 */
export async function hasComputeWorker(registry: Queries, name: string): Promise<boolean> {
  return (await registry.rows(noColumns, 'SELECT FROM compute_nodes WHERE name = $1', [name])).length > 0;
}

const computeNode = z.object({ name: z.string(), isUp: z.boolean() });

/** Every hypervisor with a compute worker, by name, and whether the worker was heard of lately. */
export function listComputeNodes(registry: Queries): Promise<z.infer<typeof computeNode>[]> {
  return registry.rows(
    computeNode,
    `SELECT name, now() - heartbeat_at <= $1 * interval '1 ms' AS is_up FROM compute_nodes ORDER BY name`,
    [downAfterMs],
  );
}

const heard = z.object({ heartbeatAt: z.date() });

/**
 * Forgets the hypervisor's compute worker: nothing waits for its answers any more. `VolumeInUse`: the worker is still heard of, so the
 * hypervisor is not gone. One that reports later is a new one. May be repeated.
 */
export async function forgetComputeNode(registry: Queries, name: string): Promise<void> {
  await registry.rows(
    noColumns,
    `DELETE FROM compute_nodes WHERE name = $1 AND now() - heartbeat_at > $2 * interval '1 ms'`,
    [name, downAfterMs],
  );
  const [alive] = await registry.rows(heard, 'SELECT heartbeat_at FROM compute_nodes WHERE name = $1', [name]);
  if (!alive) return;
  throw new FerryError(
    'VolumeInUse',
    `Hypervisor ${name} is not gone: its compute worker was heard of at ${alive.heartbeatAt.toISOString()}. Detach its volumes ` +
      `(ferry detach), or turn the machine off and try again ${downAfterMs / 1000} seconds later.`,
    { hypervisor: name },
  );
}

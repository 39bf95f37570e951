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

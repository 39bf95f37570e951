import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** A worker that goes by a name, and the machine that it runs on. */
export interface NamedWorker {
  kind: 'storage' | 'compute';
  /** Of the storage node or the hypervisor. */
  name: string;
  /** What no other machine is called. */
  machine: string;
  /** What people call the machine. */
  hostname: string;
}

const holder = z.object({ hostname: z.string(), heardOfMs: z.number() });

/**
 * Writes that the worker goes by its name now; to be repeated every few seconds. `InvalidInput`: a worker of another machine goes by it and
 * was heard of lately, so two machines have one name in their configuration. One machine may start as many workers as it likes, one after
 * another.
 */
export async function holdWorkerName(registry: Queries, worker: NamedWorker): Promise<void> {
  const { kind, name, machine, hostname } = worker;
  const held = await registry.rows(
    z.object({ name: z.string() }),
    `INSERT INTO worker_names AS w (kind, name, machine, hostname, heartbeat_at) VALUES ($1, $2, $3, $4, now())
     ON CONFLICT (kind, name) DO UPDATE SET machine = $3, hostname = $4, heartbeat_at = now()
     WHERE w.machine = $3 OR now() - w.heartbeat_at > $5 * interval '1 ms' RETURNING name`,
    [kind, name, machine, hostname, downAfterMs],
  );
  if (held.length > 0) return;
  const [other] = await registry.rows(
    holder,
    `SELECT hostname, (extract(epoch FROM now() - heartbeat_at) * 1000)::int AS heard_of_ms FROM worker_names
     WHERE kind = $1 AND name = $2`,
    [kind, name],
  );
  const setting = kind === 'storage' ? 'node.name' : 'compute.name';
  const where = other ? `${other.hostname}, heard of ${Math.round(other.heardOfMs / 1000)} s ago` : 'another machine';
  throw new FerryError(
    'InvalidInput',
    `The name ${name} is taken: a ${kind} worker on ${where}, goes by it. Give this machine a name of its own ` +
      `("${setting}" in the file that FERRY_CONFIG names), or stop that worker and try again ${downAfterMs / 1000} seconds later.`,
    { fields: [setting], name, hostname: other?.hostname ?? null },
  );
}

/** The name is free at once, for whichever machine. Only its holder can say so. May be repeated. */
export async function freeWorkerName(registry: Queries, { kind, name, machine }: NamedWorker): Promise<void> {
  await registry.rows(noColumns, 'DELETE FROM worker_names WHERE kind = $1 AND name = $2 AND machine = $3', [
    kind,
    name,
    machine,
  ]);
}

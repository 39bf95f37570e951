import * as z from 'zod';
import { backEnd, observedBackEnd, type BackEnd, type ObservedBackEnd } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import type { Queries, Registry } from './open-registry.ts';

/** What a storage worker says of one of its back ends. */
export type BackEndReport = Pick<
  BackEnd,
  'name' | 'availabilityZone' | 'driver' | 'totalBytes' | 'freeBytes' | 'fault' | 'capabilities'
> &
  Partial<Pick<BackEnd, 'placementFault' | 'lostDevices'>> & {
    /** How old what it says of its room is; 0 if not given. Seconds. */
    ageSeconds?: number | undefined;
  };

/**
 * Writes a node's back ends, and that they were heard of now. May be repeated. `disabled` is the administrator's and stays as it is.
 * A back end that is left out keeps its last report, and so goes down.
 */
export async function reportBackEnds(
  registry: Queries,
  node: string,
  reports: readonly BackEndReport[],
): Promise<BackEnd[]> {
  // In order of names, so that two reports of one node cannot lock each other's rows crosswise.
  const rows = reports.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return registry.rows(
    backEnd,
    `INSERT INTO back_ends (name, node, availability_zone, driver, total_bytes, free_bytes, fault, capabilities, placement_fault,
       lost_devices, heartbeat_at, measured_at)
     SELECT r.name, $1, r.zone, r.driver, r.total, r.free, r.fault, r.capabilities, r.placement_fault,
       ARRAY(SELECT jsonb_array_elements_text(r.lost)), now(), now() - make_interval(secs => r.age)
     FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::jsonb[], $9::text[], $10::jsonb[], $11::float8[])
       AS r (name, zone, driver, total, free, fault, capabilities, placement_fault, lost, age)
     ON CONFLICT (name) DO UPDATE SET
       availability_zone = excluded.availability_zone, driver = excluded.driver, total_bytes = excluded.total_bytes,
       free_bytes = excluded.free_bytes, fault = excluded.fault, capabilities = excluded.capabilities,
       placement_fault = excluded.placement_fault, lost_devices = excluded.lost_devices,
       heartbeat_at = excluded.heartbeat_at, measured_at = excluded.measured_at
     RETURNING *`,
    [
      node,
      rows.map((r) => r.name),
      rows.map((r) => r.availabilityZone),
      rows.map((r) => r.driver),
      rows.map((r) => r.totalBytes),
      rows.map((r) => r.freeBytes),
      rows.map((r) => r.fault),
      rows.map((r) => JSON.stringify(r.capabilities)),
      rows.map((r) => r.placementFault ?? null),
      rows.map((r) => JSON.stringify(r.lostDevices ?? [])),
      rows.map((r) => r.ageSeconds ?? 0),
    ],
  );
}

/** All back ends, by name, and when that was so. */
export function listBackEnds(registry: Queries): Promise<ObservedBackEnd[]> {
  return registry.rows(observedBackEnd, 'SELECT *, now()::timestamptz(3) AS as_of FROM back_ends ORDER BY name');
}

/** How many volumes each back end has; those without any are left out. */
export async function countVolumes(registry: Queries): Promise<Map<string, number>> {
  const rows = await registry.rows(
    z.object({ host: z.string(), volumes: z.number() }),
    'SELECT host, count(*)::int AS volumes FROM volumes GROUP BY host',
  );
  return new Map(rows.map(({ host, volumes }) => [host, volumes]));
}

/** The back end of that name. `BackEndNotFound` if none has reported itself so. */
export async function findBackEnd(registry: Queries, name: string): Promise<BackEnd> {
  const [found] = await registry.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [name]);
  if (!found) throw backEndNotFound(name);
  return found;
}

/**
 * Whether new volumes may be placed on the back end, or on all of the node. What is there stays, and may leave. A back end that is enabled
 * is not decommissioned any more. May be repeated.
 */
export async function setDisabled(
  registry: Queries,
  nodeOrBackEnd: string,
  disabled: boolean,
  reason: string | null = null,
): Promise<BackEnd[]> {
  const changed = await registry.rows(
    backEnd,
    `UPDATE back_ends SET disabled = $2, disabled_reason = $3, decommissioned_at = CASE WHEN $2 THEN decommissioned_at END
     WHERE $1 IN (name, node) RETURNING *`,
    [nodeOrBackEnd, disabled, disabled ? reason : null],
  );
  if (changed.length === 0) throw backEndNotFound(nodeOrBackEnd);
  return changed;
}

/**
 * Marks a node's back ends as empty for good; in one transaction with the proof that the registry has no volume on them and no migration
 * from or to them. What stands against it, or null when it is done. May be repeated.
 */
export async function decommission(registry: Registry, node: string): Promise<string | null> {
  return registry.transaction(async (q) => {
    // In a statement of its own: the count sees what was committed before the lock was got.
    await q.rows(backEnd, 'SELECT * FROM back_ends WHERE node = $1 ORDER BY name FOR NO KEY UPDATE', [node]);
    const [left] = await q.rows(
      z.object({ volumes: z.number(), migrations: z.number(), kept: z.array(z.string()) }),
      `WITH locked AS (SELECT name FROM back_ends WHERE node = $1)
       SELECT (SELECT count(*)::int FROM volumes v JOIN locked l ON l.name = v.host) AS volumes,
              (SELECT count(*)::int FROM migrations m JOIN locked l ON l.name IN (m.source, m.destination) WHERE m.outcome IS NULL) AS migrations,
              ARRAY(SELECT DISTINCT k.volume_id::text FROM kept_sources k JOIN locked l ON l.name = k.back_end) AS kept`,
      [node],
    );
    if (left && left.kept.length > 0)
      return `kept sources are on it, of the volumes ${left.kept.join(', ')}; remove each: ferry migration discard <volume>`;
    if (left && left.volumes + left.migrations > 0)
      return `the registry has ${left.volumes} volumes on it and ${left.migrations} migrations from or to it`;
    await q.rows(
      backEnd,
      `UPDATE back_ends SET disabled = true, disabled_reason = 'decommissioned', decommissioned_at = coalesce(decommissioned_at, now())
       WHERE node = $1 RETURNING *`,
      [node],
    );
    return null;
  });
}

export function backEndNotFound(name: string): FerryError {
  return new FerryError('BackEndNotFound', `Back end ${name} is not known. See: ferry host list`, { backEnd: name });
}

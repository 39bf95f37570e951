import { backEnd, type BackEnd } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import type { Queries } from './open-registry.ts';

/** What a storage worker says of one of its back ends. */
export type BackEndReport = Pick<
  BackEnd,
  'name' | 'availabilityZone' | 'driver' | 'totalBytes' | 'freeBytes' | 'fault'
>;

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
    `INSERT INTO back_ends (name, node, availability_zone, driver, total_bytes, free_bytes, fault, heartbeat_at)
     SELECT r.name, $1, r.zone, r.driver, r.total, r.free, r.fault, now()
     FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[])
       AS r (name, zone, driver, total, free, fault)
     ON CONFLICT (name) DO UPDATE SET
       availability_zone = excluded.availability_zone, driver = excluded.driver, total_bytes = excluded.total_bytes,
       free_bytes = excluded.free_bytes, fault = excluded.fault, heartbeat_at = excluded.heartbeat_at
     RETURNING *`,
    [
      node,
      rows.map((r) => r.name),
      rows.map((r) => r.availabilityZone),
      rows.map((r) => r.driver),
      rows.map((r) => r.totalBytes),
      rows.map((r) => r.freeBytes),
      rows.map((r) => r.fault),
    ],
  );
}

/** All back ends, by name. */
export function listBackEnds(registry: Queries): Promise<BackEnd[]> {
  return registry.rows(backEnd, 'SELECT * FROM back_ends ORDER BY name');
}

/** The back end of that name. `BackEndNotFound` if none has reported itself so. */
export async function findBackEnd(registry: Queries, name: string): Promise<BackEnd> {
  const [found] = await registry.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [name]);
  if (!found) throw backEndNotFound(name);
  return found;
}

/** Whether new volumes may be placed on the back end. What is there stays, and may leave. May be repeated. */
export async function setDisabled(
  registry: Queries,
  name: string,
  disabled: boolean,
  reason: string | null = null,
): Promise<BackEnd> {
  const [changed] = await registry.rows(
    backEnd,
    'UPDATE back_ends SET disabled = $2, disabled_reason = $3 WHERE name = $1 RETURNING *',
    [name, disabled, disabled ? reason : null],
  );
  if (!changed) throw backEndNotFound(name);
  return changed;
}

export function backEndNotFound(name: string): FerryError {
  return new FerryError('BackEndNotFound', `Back end ${name} is not known. See: ferry host list`, { backEnd: name });
}

-- Sizes are bytes, multiples of a sector.

DROP FUNCTION end_operation(uuid, text, text, text, jsonb, text, integer, text, text);

ALTER TABLE volumes DROP CONSTRAINT volumes_size_gib_check;
ALTER TABLE volumes ALTER COLUMN size_gib TYPE bigint USING size_gib * 1073741824::bigint;
ALTER TABLE volumes RENAME COLUMN size_gib TO size_bytes;
ALTER TABLE volumes ADD CHECK (size_bytes BETWEEN 512 AND 65536 * 1073741824::bigint AND size_bytes % 512 = 0);

ALTER TABLE snapshots DROP CONSTRAINT snapshots_size_gib_check;
ALTER TABLE snapshots ALTER COLUMN size_gib TYPE bigint USING size_gib * 1073741824::bigint;
ALTER TABLE snapshots RENAME COLUMN size_gib TO size_bytes;
ALTER TABLE snapshots ADD CHECK (size_bytes > 0 AND size_bytes % 512 = 0);

ALTER TABLE planned_moves DROP CONSTRAINT planned_moves_size_gib_check;
ALTER TABLE planned_moves ALTER COLUMN size_gib TYPE bigint USING size_gib * 1073741824::bigint;
ALTER TABLE planned_moves RENAME COLUMN size_gib TO size_bytes;
ALTER TABLE planned_moves ADD CHECK (size_bytes > 0 AND size_bytes % 512 = 0);

-- Bytes that are spoken for, but not yet missing in what the back end reports as free. A report that came less than one reporting
-- interval (5 s) after the device was made may have been measured before it.
CREATE OR REPLACE FUNCTION promised_bytes(p_back_end text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(bytes), 0)::bigint FROM (
    SELECT m.total_bytes AS bytes
    FROM migrations m JOIN back_ends b ON b.name = m.destination
    WHERE m.destination = p_back_end AND m.outcome IS NULL
      AND (m.allocated_at IS NULL OR b.heartbeat_at < m.allocated_at + interval '5 seconds')
    UNION ALL
    SELECT v.size_bytes FROM volumes v WHERE v.host = p_back_end AND v.operation = 'create'
  ) AS promises
$$;

-- Ends an operation of this owner; no row when it is not under way. Null for status: back to what it was; null for the others: as it is.
CREATE FUNCTION end_operation(
  p_volume uuid, p_operation text, p_owner text, p_outcome text, p_error jsonb, p_status text, p_size_bytes bigint, p_volume_type text,
  p_device_identity text
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY UPDATE volumes SET
      operation = NULL, operation_owner = NULL, operation_since = NULL, previous_status = NULL,
      status = coalesce(p_status, previous_status), size_bytes = coalesce(p_size_bytes, size_bytes),
      volume_type = coalesce(p_volume_type, volume_type),
      device_identity = coalesce(p_device_identity, device_identity), updated_at = now()
    WHERE id = p_volume AND operation = p_operation AND operation_owner = p_owner
    RETURNING *;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE operations SET outcome = p_outcome, error = p_error, finished_at = now()
    WHERE owner = p_owner AND volume_id = p_volume AND operation = p_operation;
END
$$;

-- Takes the volume for a migration if everything allows it; no row when something does not. The same claim again: the same row.
-- Raises FE001 when the migration's record is there, but its claim is over: a late repeat must not take the volume again.
CREATE OR REPLACE FUNCTION claim_volume(
  p_volume uuid, p_destination text, p_owner text, p_migration uuid, p_name_id uuid,
  p_force_host_copy boolean, p_requested_by text, p_down_after interval, p_new_type text DEFAULT NULL
) RETURNS SETOF migrations
LANGUAGE plpgsql AS $$
DECLARE
  d back_ends;
  origin back_ends;
  v volumes;
  chosen text;
BEGIN
  SELECT * INTO d FROM back_ends WHERE name = p_destination FOR NO KEY UPDATE;
  PERFORM FROM volume_types WHERE name = p_new_type FOR KEY SHARE;
  SELECT * INTO v FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;

  RETURN QUERY SELECT m.* FROM migrations m
    WHERE m.id = p_migration AND m.volume_id = p_volume AND m.owner = p_owner AND m.destination = p_destination
      AND v.migration_owner = p_owner AND v.migration_epoch = m.epoch;
  IF FOUND THEN RETURN; END IF;
  IF EXISTS (SELECT FROM migrations m WHERE m.id = p_migration) THEN
    RAISE EXCEPTION 'migration % of volume % is not this claim''s any more', p_migration, p_volume USING ERRCODE = 'FE001';
  END IF;

  UPDATE volumes SET
    migration_status = 'starting', migration_owner = p_owner, migration_epoch = migration_epoch + 1, migration_since = now()
  WHERE id = p_volume
    AND status IN ('available', 'in-use') AND migration_owner IS NULL AND operation IS NULL
    AND NOT EXISTS (SELECT FROM snapshots s WHERE s.volume_id = p_volume)
    AND (SELECT count(*) FROM attachments a WHERE a.volume_id = p_volume AND a.mode = 'rw') <= 1
    AND EXISTS (SELECT FROM back_ends s WHERE s.name = host AND back_end_up(s, p_down_after))
    AND NOT EXISTS (SELECT FROM discrepancies x WHERE x.volume_id = p_volume)
    AND host <> d.name AND NOT d.disabled AND d.placement_fault IS NULL AND back_end_up(d, p_down_after)
    AND d.free_bytes - promised_bytes(d.name) >= size_bytes
    AND (p_new_type IS NULL OR p_new_type IS DISTINCT FROM volume_type)
    AND satisfies(d.capabilities, coalesce(p_new_type, volume_type))
  RETURNING * INTO v;
  IF NOT FOUND THEN RETURN; END IF;

  SELECT * INTO origin FROM back_ends WHERE name = v.host;
  chosen := CASE
    WHEN EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume) THEN 'generic-attached'
    WHEN origin.node = d.node AND origin.driver = d.driver AND NOT p_force_host_copy THEN 'assisted'
    ELSE 'generic-detached' END;
  RETURN QUERY INSERT INTO migrations AS m (
    id, volume_id, tenant_id, requested_by, owner, epoch, source, destination, source_name_id, destination_name_id,
    source_identity, source_generation, flow, phase, phases, total_bytes, old_type, new_type
  ) VALUES (
    p_migration, p_volume, v.tenant_id, p_requested_by, p_owner, v.migration_epoch, v.host, p_destination, v.name_id,
    CASE WHEN chosen = 'assisted' THEN v.name_id ELSE p_name_id END,
    v.device_identity, v.generation, chosen, 'claiming', jsonb_build_array(jsonb_build_object('phase', 'claiming', 'at', now())), v.size_bytes,
    CASE WHEN p_new_type IS NOT NULL THEN v.volume_type END, p_new_type
  ) RETURNING m.*;
END
$$;

-- Takes the volume for going back to the source that its last migration kept; no row when something does not allow it. Repeats and FE001
-- as `claim_volume`. The back end may be disabled and full: nothing is placed there, the bytes are there. Order of locks: volume, then
-- kept source.
CREATE OR REPLACE FUNCTION claim_undo(
  p_volume uuid, p_destination text, p_owner text, p_migration uuid, p_undoes uuid, p_requested_by text, p_down_after interval
) RETURNS SETOF migrations
LANGUAGE plpgsql AS $$
DECLARE
  v volumes;
  k kept_sources;
BEGIN
  SELECT * INTO v FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;
  SELECT * INTO k FROM kept_sources WHERE migration_id = p_undoes AND volume_id = p_volume FOR NO KEY UPDATE;

  RETURN QUERY SELECT m.* FROM migrations m
    WHERE m.id = p_migration AND m.volume_id = p_volume AND m.owner = p_owner AND m.undoes = p_undoes
      AND v.migration_owner = p_owner AND v.migration_epoch = m.epoch;
  IF FOUND THEN RETURN; END IF;
  IF EXISTS (SELECT FROM migrations m WHERE m.id = p_migration) THEN
    RAISE EXCEPTION 'migration % of volume % is not this claim''s any more', p_migration, p_volume USING ERRCODE = 'FE001';
  END IF;

  UPDATE volumes SET
    migration_status = 'starting', migration_owner = p_owner, migration_epoch = migration_epoch + 1, migration_since = now()
  WHERE id = p_volume
    AND status = 'available' AND migration_owner IS NULL AND operation IS NULL
    AND NOT EXISTS (SELECT FROM snapshots s WHERE s.volume_id = p_volume)
    AND NOT EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume)
    AND NOT EXISTS (SELECT FROM discrepancies x WHERE x.volume_id = p_volume)
    AND k.back_end = p_destination AND k.removing_at IS NULL AND k.size_bytes = size_bytes
    AND p_undoes = (
      SELECT m.id FROM migrations m WHERE m.volume_id = p_volume AND m.switched_at IS NOT NULL ORDER BY m.epoch DESC LIMIT 1)
    AND EXISTS (SELECT FROM back_ends s WHERE s.name = host AND back_end_up(s, p_down_after))
    AND EXISTS (
      SELECT FROM back_ends d
      WHERE d.name = k.back_end AND back_end_up(d, p_down_after) AND satisfies(d.capabilities, volume_type))
  RETURNING * INTO v;
  IF NOT FOUND THEN RETURN; END IF;

  -- Its device was there before: no bytes are promised.
  RETURN QUERY INSERT INTO migrations AS m (
    id, volume_id, tenant_id, requested_by, owner, epoch, source, destination, source_name_id, destination_name_id,
    source_identity, source_generation, destination_identity, flow, undoes, phase, phases, total_bytes, allocated_at
  ) VALUES (
    p_migration, p_volume, v.tenant_id, p_requested_by, p_owner, v.migration_epoch, v.host, k.back_end, v.name_id, k.name_id,
    v.device_identity, v.generation, k.identity, 'undo', p_undoes, 'claiming', jsonb_build_array(jsonb_build_object('phase', 'claiming', 'at', now())), k.size_bytes, '-infinity'
  ) RETURNING m.*;
END
$$;

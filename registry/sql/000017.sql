-- Volumes that are made of the bytes of others: see docs/decisions/025-a-copy-is-a-volume-of-its-own.md.

-- While a volume is made, what its bytes are copied from is held: a volume by `source_volume_id`, a snapshot by `snapshot_id`.
CREATE INDEX volumes_copied_from ON volumes (source_volume_id) WHERE operation = 'create' AND source_volume_id IS NOT NULL;
CREATE INDEX volumes_copied_from_snapshots ON volumes (snapshot_id) WHERE operation = 'create' AND snapshot_id IS NOT NULL;

-- Whether a new volume is being copied from it. Who asks has the volume's row: who begins a copy takes it first.
CREATE FUNCTION is_copied_from(p_volume uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM volumes c WHERE c.source_volume_id = p_volume AND c.operation = 'create')
$$;

-- The begin of 000013 with `p_copied`: it may begin while new volumes are copied from this one.
DROP FUNCTION begin_operation(uuid, text, text, text, text[], text, boolean);

-- Takes the volume for an operation; no row when the volume is claimed, busy, of another status or another tenant's. `p_bare`: it must
-- have neither attachments nor snapshots. An owner begins each operation once in its life. What it was shown as is over.
CREATE FUNCTION begin_operation(
  p_volume uuid, p_operation text, p_owner text, p_tenant text, p_from text[], p_busy text, p_bare boolean, p_copied boolean
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;
  RETURN QUERY UPDATE volumes SET
      operation = p_operation, operation_owner = p_owner, operation_since = now(),
      previous_status = status, status = coalesce(p_busy, status), shown_status = NULL, updated_at = now()
    WHERE id = p_volume AND (p_tenant IS NULL OR tenant_id = p_tenant)
      AND migration_owner IS NULL AND operation IS NULL AND coalesce(shown_status, status) = ANY (p_from)
      AND (p_copied OR NOT is_copied_from(p_volume))
      AND NOT (p_bare AND (EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume)
                           OR EXISTS (SELECT FROM snapshots s WHERE s.volume_id = p_volume)))
      AND NOT EXISTS (SELECT FROM operations o WHERE o.owner = p_owner AND o.volume_id = p_volume AND o.operation = p_operation)
    RETURNING *;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO operations (owner, volume_id, operation, tenant_id)
    SELECT p_owner, p_volume, p_operation, tenant_id FROM volumes WHERE id = p_volume;
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
    AND status IN ('available', 'in-use') AND migration_owner IS NULL AND operation IS NULL AND NOT is_copied_from(p_volume)
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
    AND status = 'available' AND migration_owner IS NULL AND operation IS NULL AND NOT is_copied_from(p_volume)
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

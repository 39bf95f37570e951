-- The guards. Each takes its row locks in statements of their own, so that the statement that decides sees all that was committed
-- before the lock was got: in a single UPDATE, sub-selects would still see what was true before the wait.
-- Order of locks: back end, then volume. `FOR NO KEY UPDATE` lets foreign keys to the row go on.

CREATE FUNCTION back_end_up(b back_ends, down_after interval) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT b.fault IS NULL AND now()::timestamptz(3) - b.heartbeat_at <= down_after
$$;

-- Bytes that are spoken for, but not yet missing in what the back end reports as free. A report that came less than one reporting
-- interval (5 s) after the device was made may have been measured before it.
CREATE FUNCTION promised_bytes(p_back_end text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(bytes), 0)::bigint FROM (
    SELECT m.total_bytes AS bytes
    FROM migrations m JOIN back_ends b ON b.name = m.destination
    WHERE m.destination = p_back_end AND m.outcome IS NULL
      AND (m.allocated_at IS NULL OR b.heartbeat_at < m.allocated_at + interval '5 seconds')
    UNION ALL
    SELECT v.size_gib * 1073741824::bigint FROM volumes v WHERE v.host = p_back_end AND v.operation = 'create'
  ) AS promises
$$;

-- Takes the volume for a migration if everything allows it; no row when something does not. The same claim again: the same row.
-- Raises FE001 when the migration's record is there, but its claim is over: a late repeat must not take the volume again.
CREATE FUNCTION claim_volume(
  p_volume uuid, p_destination text, p_owner text, p_migration uuid, p_name_id uuid,
  p_flow_detached text, p_flow_attached text, p_requested_by text, p_down_after interval
) RETURNS SETOF migrations
LANGUAGE plpgsql AS $$
DECLARE
  d back_ends;
  v volumes;
  chosen text;
BEGIN
  SELECT * INTO d FROM back_ends WHERE name = p_destination FOR NO KEY UPDATE;
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
    AND host <> d.name AND NOT d.disabled AND back_end_up(d, p_down_after)
    AND d.free_bytes - promised_bytes(d.name) >= size_gib * 1073741824::bigint
  RETURNING * INTO v;
  IF NOT FOUND THEN RETURN; END IF;

  chosen := CASE WHEN EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume) THEN p_flow_attached ELSE p_flow_detached END;
  RETURN QUERY INSERT INTO migrations AS m (
    id, volume_id, tenant_id, requested_by, owner, epoch, source, destination, source_name_id, destination_name_id,
    flow, phase, phases, total_bytes
  ) VALUES (
    p_migration, p_volume, v.tenant_id, p_requested_by, p_owner, v.migration_epoch, v.host, p_destination, v.name_id,
    CASE WHEN chosen = 'assisted' THEN v.name_id ELSE p_name_id END,
    chosen, 'claiming', jsonb_build_array(jsonb_build_object('phase', 'claiming', 'at', now())), v.size_gib * 1073741824::bigint
  ) RETURNING m.*;
END
$$;

-- Takes the volume for an operation; no row when the volume is claimed, busy, of another status or another tenant's. `p_bare`: it must
-- have neither attachments nor snapshots. An owner begins each operation once in its life.
CREATE FUNCTION begin_operation(
  p_volume uuid, p_operation text, p_owner text, p_tenant text, p_from text[], p_busy text, p_bare boolean
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;
  RETURN QUERY UPDATE volumes SET
      operation = p_operation, operation_owner = p_owner, operation_since = now(),
      previous_status = status, status = coalesce(p_busy, status), updated_at = now()
    WHERE id = p_volume AND (p_tenant IS NULL OR tenant_id = p_tenant)
      AND migration_owner IS NULL AND operation IS NULL AND status = ANY (p_from)
      AND NOT (p_bare AND (EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume)
                           OR EXISTS (SELECT FROM snapshots s WHERE s.volume_id = p_volume)))
      AND NOT EXISTS (SELECT FROM operations o WHERE o.owner = p_owner AND o.volume_id = p_volume AND o.operation = p_operation)
    RETURNING *;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO operations (owner, volume_id, operation, tenant_id)
    SELECT p_owner, p_volume, p_operation, tenant_id FROM volumes WHERE id = p_volume;
END
$$;

-- Ends an operation of this owner; no row when it is not under way. Null for status: back to what it was; null for the others: as it is.
CREATE FUNCTION end_operation(
  p_volume uuid, p_operation text, p_owner text, p_outcome text, p_error jsonb, p_status text, p_size_gib integer, p_volume_type text
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY UPDATE volumes SET
      operation = NULL, operation_owner = NULL, operation_since = NULL, previous_status = NULL,
      status = coalesce(p_status, previous_status), size_gib = coalesce(p_size_gib, size_gib),
      volume_type = coalesce(p_volume_type, volume_type), updated_at = now()
    WHERE id = p_volume AND operation = p_operation AND operation_owner = p_owner
    RETURNING *;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE operations SET outcome = p_outcome, error = p_error, finished_at = now()
    WHERE owner = p_owner AND volume_id = p_volume AND operation = p_operation;
END
$$;

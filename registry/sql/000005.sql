-- Which flow moves a volume is decided by what is claimed: the storage moves it itself when both back ends are on one node and of one kind.
DROP FUNCTION claim_volume(uuid, text, text, uuid, uuid, text, text, text, interval);

-- Takes the volume for a migration if everything allows it; no row when something does not. The same claim again: the same row.
-- Raises FE001 when the migration's record is there, but its claim is over: a late repeat must not take the volume again.
CREATE FUNCTION claim_volume(
  p_volume uuid, p_destination text, p_owner text, p_migration uuid, p_name_id uuid,
  p_force_host_copy boolean, p_requested_by text, p_down_after interval
) RETURNS SETOF migrations
LANGUAGE plpgsql AS $$
DECLARE
  d back_ends;
  origin back_ends;
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

  SELECT * INTO origin FROM back_ends WHERE name = v.host;
  chosen := CASE
    WHEN EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume) THEN 'generic-attached'
    WHEN origin.node = d.node AND origin.driver = d.driver AND NOT p_force_host_copy THEN 'assisted'
    ELSE 'generic-detached' END;
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

-- Sources that are kept for a while after their volume has moved away, so that the migration can be undone.

-- `keep_source_seconds`: for how long, from the switch on; null: not at all. `undoes`: the migration that this one takes back.
ALTER TABLE migrations
  ADD COLUMN keep_source_seconds integer CHECK (keep_source_seconds > 0),
  ADD COLUMN undoes uuid,
  DROP CONSTRAINT migrations_flow_check,
  ADD CONSTRAINT migrations_flow_check CHECK (flow IN ('assisted', 'generic-detached', 'generic-attached', 'undo')),
  ADD CONSTRAINT undo_of_something CHECK ((flow = 'undo') = (undoes IS NOT NULL)),
  ADD CONSTRAINT undo_keeps_nothing CHECK (undoes IS NULL OR keep_source_seconds IS NULL);
CREATE INDEX migrations_undoing ON migrations (undoes) WHERE outcome IS NULL;

-- One row a device, from the switch that left it until it is gone, or a volume's again. No foreign key to the volume: the device may
-- have to wait for its node for longer than the volume lives.
CREATE TABLE kept_sources (
  migration_id uuid PRIMARY KEY REFERENCES migrations (id),
  volume_id uuid NOT NULL,
  back_end text NOT NULL REFERENCES back_ends (name),
  -- As the volume had it there; null: the device is named after the volume's own id.
  name_id uuid,
  size_bytes bigint NOT NULL CHECK (size_bytes > 0),
  kept_at timestamptz NOT NULL,
  kept_until timestamptz NOT NULL,
  -- From then on it is being deleted, and nobody goes back to it.
  removing_at timestamptz
);
CREATE UNIQUE INDEX kept_sources_device ON kept_sources (back_end, (coalesce(name_id, volume_id)));
CREATE INDEX kept_sources_volume ON kept_sources (volume_id);

-- Whether a migration to the back end under the name that the volume has would meet its own kept source there. Asked before the claim
-- takes its locks: a source that comes to be kept in between makes the storage refuse the name, and the migration goes back.
CREATE FUNCTION name_is_kept(p_volume uuid, p_back_end text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM volumes v JOIN kept_sources k ON coalesce(k.name_id, k.volume_id) = coalesce(v.name_id, v.id)
    WHERE v.id = p_volume AND k.back_end = p_back_end)
$$;

-- Takes the volume for going back to the source that its last migration kept; no row when something does not allow it. Repeats and FE001
-- as `claim_volume`. The back end may be disabled and full: nothing is placed there, the bytes are there. Order of locks: volume, then
-- kept source.
CREATE FUNCTION claim_undo(
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
    AND k.back_end = p_destination AND k.removing_at IS NULL AND k.size_bytes = size_gib * 1073741824::bigint
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
    flow, undoes, phase, phases, total_bytes, allocated_at
  ) VALUES (
    p_migration, p_volume, v.tenant_id, p_requested_by, p_owner, v.migration_epoch, v.host, k.back_end, v.name_id, k.name_id,
    'undo', p_undoes, 'claiming', jsonb_build_array(jsonb_build_object('phase', 'claiming', 'at', now())), k.size_bytes, '-infinity'
  ) RETURNING m.*;
END
$$;

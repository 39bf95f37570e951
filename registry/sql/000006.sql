-- Volume types: what a volume asks of the back end that holds it.

-- What the storage worker says of the back end, as `media` = `ssd`; all strings.
ALTER TABLE back_ends ADD COLUMN capabilities jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(capabilities) = 'object');

-- Volumes name their type by its name, which therefore never changes. A type that volumes have cannot be deleted.
-- Whoever gives a volume a type locks the type's row FOR KEY SHARE, as the foreign key does by itself; whoever deletes the type or
-- changes what it asks for, FOR UPDATE. Order of locks: back end, type, volume.
CREATE TABLE volume_types (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL UNIQUE,
  description text,
  extra_specs jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra_specs) = 'object'),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO volume_types (name) SELECT DISTINCT volume_type FROM volumes WHERE volume_type IS NOT NULL;
ALTER TABLE volumes ADD CONSTRAINT volumes_type_exists FOREIGN KEY (volume_type) REFERENCES volume_types (name);
CREATE INDEX volumes_type ON volumes (volume_type) WHERE volume_type IS NOT NULL;

-- A migration that also changes the volume's type, at the switch: from what to what. Names, as they were: a record outlives the types.
ALTER TABLE migrations ADD COLUMN old_type text, ADD COLUMN new_type text;
ALTER TABLE migrations ADD CONSTRAINT old_type_of_a_retype CHECK (old_type IS NULL OR new_type IS NOT NULL);
CREATE INDEX migrations_to_types ON migrations (new_type) WHERE outcome IS NULL AND new_type IS NOT NULL;

-- Whether a back end has all that a type asks for; a volume without a type asks for nothing. False for a type that does not exist.
CREATE FUNCTION satisfies(capabilities jsonb, p_type text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT p_type IS NULL OR EXISTS (SELECT FROM volume_types t WHERE t.name = p_type AND capabilities @> t.extra_specs)
$$;

-- The claim of 000005 with `p_new_type`, which it did not have: the type that the volume gets at the switch, or null.
DROP FUNCTION claim_volume(uuid, text, text, uuid, uuid, boolean, text, interval);

-- Takes the volume for a migration if everything allows it; no row when something does not. The same claim again: the same row.
-- Raises FE001 when the migration's record is there, but its claim is over: a late repeat must not take the volume again.
CREATE FUNCTION claim_volume(
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
    AND host <> d.name AND NOT d.disabled AND back_end_up(d, p_down_after)
    AND d.free_bytes - promised_bytes(d.name) >= size_gib * 1073741824::bigint
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
    flow, phase, phases, total_bytes, old_type, new_type
  ) VALUES (
    p_migration, p_volume, v.tenant_id, p_requested_by, p_owner, v.migration_epoch, v.host, p_destination, v.name_id,
    CASE WHEN chosen = 'assisted' THEN v.name_id ELSE p_name_id END,
    chosen, 'claiming', jsonb_build_array(jsonb_build_object('phase', 'claiming', 'at', now())), v.size_gib * 1073741824::bigint,
    CASE WHEN p_new_type IS NOT NULL THEN v.volume_type END, p_new_type
  ) RETURNING m.*;
END
$$;

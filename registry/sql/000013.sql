-- What Cinder's API knows of volumes besides their devices: owners, quotas, transfers, private types, statuses set by hand.
-- See docs/decisions/017-quotas-and-transfers.md.

-- `user_id`: who made it; null: nobody knows. `read_only`: what was said of it; null: nothing was.
-- `shown_status`: a status that an administrator or a service had it show, though nothing is under way. It stands for `status` wherever
-- that is asked for, until the next operation begins. `growing_to_bytes`: what an extension that is under way makes of it.
ALTER TABLE volumes
  ADD COLUMN user_id text CHECK (user_id <> ''),
  ADD COLUMN read_only boolean,
  ADD COLUMN shown_status text CHECK (shown_status NOT IN ('', 'available', 'in-use')),
  ADD COLUMN growing_to_bytes bigint,
  ADD CONSTRAINT shown_while_idle CHECK (shown_status IS NULL OR operation IS NULL),
  ADD CONSTRAINT growing_is_extending CHECK (growing_to_bytes IS NULL OR (operation = 'extend' AND growing_to_bytes > size_bytes)),
  DROP CONSTRAINT volumes_status_check,
  ADD CONSTRAINT volumes_status_check CHECK (status IN (
    'creating', 'available', 'reserved', 'attaching', 'in-use', 'detaching', 'extending', 'snapshotting', 'deleting', 'retyping',
    'awaiting-transfer', 'error', 'error_deleting', 'error_extending', 'maintenance'));

ALTER TABLE snapshots
  ADD COLUMN user_id text CHECK (user_id <> ''),
  ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
  ADD COLUMN progress text,
  ADD COLUMN shown_status text CHECK (shown_status <> ''),
  -- Null until something has changed.
  ADD COLUMN updated_at timestamptz;
CREATE INDEX snapshots_tenant ON snapshots (tenant_id, created_at);

-- A private type is for those tenants only that have access to it. A type may be renamed: its volumes follow.
ALTER TABLE volume_types ADD COLUMN is_public boolean NOT NULL DEFAULT true;
CREATE TABLE volume_type_access (
  type_id uuid NOT NULL REFERENCES volume_types (id) ON DELETE CASCADE,
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  PRIMARY KEY (type_id, tenant_id)
);
ALTER TABLE volumes
  DROP CONSTRAINT volumes_type_exists,
  ADD CONSTRAINT volumes_type_exists FOREIGN KEY (volume_type) REFERENCES volume_types (name) ON UPDATE CASCADE;

-- Whether a back end has all that a type asks for; a volume without a type asks for nothing. False for a type that does not exist.
-- The scope `capabilities:` is none; what has another scope is not asked of back ends.
CREATE OR REPLACE FUNCTION satisfies(capabilities jsonb, p_type text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT p_type IS NULL OR EXISTS (
    SELECT FROM volume_types t WHERE t.name = p_type AND NOT EXISTS (
      SELECT FROM jsonb_each_text(t.extra_specs) AS asked (key, value)
      WHERE (key NOT LIKE '%:%' OR key LIKE 'capabilities:%')
        AND capabilities ->> regexp_replace(key, '^capabilities:', '') IS DISTINCT FROM value))
$$;

-- How much tenants may have, of which resource; -1: as much as they like. What is in neither table is not limited.
CREATE TABLE quota_defaults (
  resource text PRIMARY KEY CHECK (resource <> ''),
  hard_limit bigint NOT NULL CHECK (hard_limit >= -1)
);
CREATE TABLE quotas (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  resource text NOT NULL CHECK (resource <> ''),
  hard_limit bigint NOT NULL CHECK (hard_limit >= -1),
  PRIMARY KEY (tenant_id, resource)
);

-- Volumes that wait for another tenant to take them. A row is gone when its volume was taken, or is not given away any more.
CREATE TABLE volume_transfers (
  id uuid PRIMARY KEY,
  volume_id uuid NOT NULL UNIQUE REFERENCES volumes (id) ON DELETE CASCADE,
  tenant_id text NOT NULL,
  name text,
  -- The volume's snapshots stay with the tenant that gives it away.
  no_snapshots boolean NOT NULL DEFAULT false,
  -- Of the key that whoever takes it must know: salt and SHA-256, in hexadecimal digits.
  key_salt text NOT NULL,
  key_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX volume_transfers_tenant ON volume_transfers (tenant_id, created_at);

-- Takes the volume for an operation; no row when the volume is claimed, busy, of another status or another tenant's. `p_bare`: it must
-- have neither attachments nor snapshots. An owner begins each operation once in its life. What it was shown as is over.
CREATE OR REPLACE FUNCTION begin_operation(
  p_volume uuid, p_operation text, p_owner text, p_tenant text, p_from text[], p_busy text, p_bare boolean
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;
  RETURN QUERY UPDATE volumes SET
      operation = p_operation, operation_owner = p_owner, operation_since = now(),
      previous_status = status, status = coalesce(p_busy, status), shown_status = NULL, updated_at = now()
    WHERE id = p_volume AND (p_tenant IS NULL OR tenant_id = p_tenant)
      AND migration_owner IS NULL AND operation IS NULL AND coalesce(shown_status, status) = ANY (p_from)
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
CREATE OR REPLACE FUNCTION end_operation(
  p_volume uuid, p_operation text, p_owner text, p_outcome text, p_error jsonb, p_status text, p_size_bytes bigint, p_volume_type text,
  p_device_identity text
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY UPDATE volumes SET
      operation = NULL, operation_owner = NULL, operation_since = NULL, previous_status = NULL, growing_to_bytes = NULL,
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

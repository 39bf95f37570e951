-- The registry's tables. Wrong states are refused here where a constraint can tell them; the rest is in the statements' guards.

-- Written by the storage worker of the node, at start and as a heartbeat; `disabled` is the administrator's.
CREATE TABLE back_ends (
  name text PRIMARY KEY,
  node text NOT NULL,
  availability_zone text NOT NULL,
  driver text NOT NULL CHECK (driver IN ('lvm', 'directory')),
  total_bytes bigint NOT NULL CHECK (total_bytes >= 0),
  free_bytes bigint NOT NULL CHECK (free_bytes >= 0),
  disabled boolean NOT NULL DEFAULT false,
  disabled_reason text CHECK (disabled OR disabled_reason IS NULL),
  fault text,
  -- Milliseconds, as the model's `Date` has them: what is up in SQL is up in the model.
  heartbeat_at timestamptz(3) NOT NULL,
  CHECK (node = split_part(name, '@', 1) AND split_part(name, '@', 2) <> '')
);

CREATE TABLE volumes (
  id uuid PRIMARY KEY,
  tenant_id text NOT NULL,
  name text,
  description text,
  size_gib integer NOT NULL CHECK (size_gib BETWEEN 1 AND 65536),
  status text NOT NULL CHECK (status IN (
    'creating', 'available', 'reserved', 'attaching', 'in-use', 'detaching', 'extending', 'snapshotting', 'deleting', 'retyping',
    'error', 'error_deleting', 'error_extending', 'maintenance')),
  host text NOT NULL REFERENCES back_ends (name),
  name_id uuid CHECK (name_id <> id),
  migration_status text CHECK (migration_status IN ('starting', 'migrating', 'completing')),
  migration_owner text CHECK (migration_owner <> ''),
  migration_epoch bigint NOT NULL DEFAULT 0 CHECK (migration_epoch >= 0),
  migration_since timestamptz,
  operation text CHECK (operation <> ''),
  operation_owner text CHECK (operation_owner <> ''),
  operation_since timestamptz,
  -- Where a failed operation goes back to.
  previous_status text,
  availability_zone text NOT NULL,
  volume_type text,
  bootable boolean NOT NULL DEFAULT false,
  snapshot_id uuid,
  source_volume_id uuid,
  metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Tenants see this: a migration leaves it alone.
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT claimed_or_not CHECK (
    (migration_owner IS NULL) = (migration_status IS NULL) AND (migration_owner IS NULL) = (migration_since IS NULL)),
  CONSTRAINT claim_has_epoch CHECK (migration_owner IS NULL OR migration_epoch > 0),
  CONSTRAINT busy_or_not CHECK (
    (operation IS NULL) = (operation_owner IS NULL) AND (operation IS NULL) = (operation_since IS NULL)
    AND (operation IS NULL) = (previous_status IS NULL)),
  CONSTRAINT claim_or_operation CHECK (migration_owner IS NULL OR operation IS NULL),
  CONSTRAINT transition_has_operation CHECK (operation IS NOT NULL OR status NOT IN (
    'creating', 'attaching', 'detaching', 'extending', 'snapshotting', 'deleting', 'retyping'))
);
-- No two volumes share a device.
CREATE UNIQUE INDEX volumes_device ON volumes (host, (coalesce(name_id, id)));
CREATE INDEX volumes_tenant ON volumes (tenant_id, created_at);
CREATE INDEX volumes_claimed ON volumes (migration_since) WHERE migration_owner IS NOT NULL;
CREATE INDEX volumes_being_created ON volumes (host) WHERE operation = 'create';

CREATE TABLE attachments (
  id uuid PRIMARY KEY,
  volume_id uuid NOT NULL REFERENCES volumes (id),
  instance_id text NOT NULL CHECK (instance_id <> ''),
  compute_host text NOT NULL CHECK (compute_host <> ''),
  device text,
  mode text NOT NULL CHECK (mode IN ('rw', 'ro')),
  status text NOT NULL CHECK (status IN ('reserved', 'attached', 'detaching')),
  connection jsonb,
  attached_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (status = 'reserved' OR attached_at IS NOT NULL),
  UNIQUE (volume_id, instance_id)
);

CREATE TABLE snapshots (
  id uuid PRIMARY KEY,
  volume_id uuid NOT NULL REFERENCES volumes (id),
  tenant_id text NOT NULL,
  name text,
  description text,
  size_gib integer NOT NULL CHECK (size_gib > 0),
  status text NOT NULL CHECK (status IN ('creating', 'available', 'deleting', 'error', 'error_deleting')),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX snapshots_volume ON snapshots (volume_id);

-- One row a migration, for ever: no foreign keys, it outlives the volume and the back ends.
CREATE TABLE migrations (
  id uuid PRIMARY KEY,
  volume_id uuid NOT NULL,
  tenant_id text NOT NULL,
  requested_by text NOT NULL,
  owner text NOT NULL,
  epoch bigint NOT NULL CHECK (epoch > 0),
  source text NOT NULL,
  destination text NOT NULL,
  source_name_id uuid,
  destination_name_id uuid,
  flow text NOT NULL CHECK (flow IN ('assisted', 'generic-detached', 'generic-attached')),
  phase text NOT NULL CHECK (phase IN (
    'claiming', 'preparing', 'copying', 'verifying', 'switching', 'cleaning-up', 'undoing', 'finished')),
  phases jsonb NOT NULL,
  total_bytes bigint NOT NULL CHECK (total_bytes > 0),
  transferred_bytes bigint CHECK (transferred_bytes >= 0),
  digest text,
  -- Since when the destination's device exists, as far as the phases tell: from then on its own report counts it.
  allocated_at timestamptz,
  -- The point of no return as the registry knows it.
  switched_at timestamptz,
  outcome text CHECK (outcome IN ('success', 'error', 'cancelled')),
  error jsonb,
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  UNIQUE (volume_id, epoch),
  CHECK (source <> destination),
  CONSTRAINT finished_or_not CHECK ((outcome IS NULL) = (finished_at IS NULL) AND (outcome IS NULL) = (phase <> 'finished')),
  CONSTRAINT success_means_switched CHECK (outcome IS NULL OR (outcome = 'success') = (switched_at IS NOT NULL)),
  CONSTRAINT never_undone_after_the_switch CHECK (phase <> 'undoing' OR switched_at IS NULL)
);
CREATE UNIQUE INDEX migrations_running ON migrations (volume_id) WHERE outcome IS NULL;
CREATE INDEX migrations_on_their_way ON migrations (destination) WHERE outcome IS NULL;
CREATE INDEX migrations_started ON migrations (started_at DESC);

-- One row an operation, for ever: who did what, and the answer to a repeated "begin" or "finish".
CREATE TABLE operations (
  owner text NOT NULL,
  volume_id uuid NOT NULL,
  operation text NOT NULL,
  tenant_id text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  outcome text CHECK (outcome IN ('success', 'error', 'abandoned')),
  error jsonb,
  PRIMARY KEY (owner, volume_id, operation),
  CHECK ((outcome IS NULL) = (finished_at IS NULL))
);
CREATE INDEX operations_volume ON operations (volume_id, started_at);

-- A back end is known by an identity of its own: a mark that is in its storage, and here.

-- Which Ferry this is. A copy of the registry is the same one; a registry that is made anew is another one.
CREATE TABLE registry_identity (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO registry_identity DEFAULT VALUES;

-- The storage of each back end. No foreign key: it is known before the back end's first report.
CREATE TABLE storages (
  back_end text PRIMARY KEY,
  -- Of Ferry's mark in it; null: it has none yet.
  identity uuid UNIQUE,
  -- What the system itself knows it by: of a volume group its UUID, of a thin pool that and its own. Null for directories.
  uuid text,
  -- Where the file system of a directory was mounted.
  mount_point text,
  -- The newest state that was seen, where the storage counts its changes.
  sequence bigint,
  -- What is there instead, while it is not what it should be.
  found jsonb,
  -- That an operator says it is this back end's storage now.
  adoption jsonb
);

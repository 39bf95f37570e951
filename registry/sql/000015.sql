-- The worker that goes by a node's or hypervisor's name: of two machines with one name the second is refused.
CREATE TABLE worker_names (
  kind text NOT NULL CHECK (kind IN ('storage', 'compute')),
  name text NOT NULL,
  -- What no other machine is called.
  machine text NOT NULL,
  -- What people call it.
  hostname text NOT NULL,
  heartbeat_at timestamptz(3) NOT NULL,
  PRIMARY KEY (kind, name)
);

-- Written by the compute worker beside the hypervisor, at start and as a heartbeat. A hypervisor that is not here has none.
CREATE TABLE compute_nodes (
  name text PRIMARY KEY CHECK (name <> ''),
  heartbeat_at timestamptz(3) NOT NULL
);

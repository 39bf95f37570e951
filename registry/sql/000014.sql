-- How a device of a volume can be reached, as its storage node has said: a hypervisor, or the node that copies, is told by a workflow, and
-- believes it only if this says the same. One row a device and kind: what was offered before is not on offer any more.
CREATE TABLE offers (
  volume_id uuid NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
  back_end text NOT NULL,
  device_name text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('nbd', 'local')),
  source jsonb NOT NULL,
  offered_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (volume_id, back_end, device_name, kind)
);

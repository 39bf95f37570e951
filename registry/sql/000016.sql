-- Attachments that a client of Cinder's API makes, in its steps: see docs/decisions/023-attachments-in-steps.md.
-- `attachments` has those that a hypervisor can reach now; the same id is the same attachment.

-- `reserved`: the volume is kept for it. `attaching`: it has its connection, what for is not done yet. `attached`: the client has said so.
-- `host`, `device` and `instance_id` as the client tells them, so null until it does.
CREATE TABLE client_attachments (
  id uuid PRIMARY KEY,
  volume_id uuid NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
  instance_id text CHECK (instance_id <> ''),
  host text CHECK (host <> ''),
  device text CHECK (device <> ''),
  mode text NOT NULL CHECK (mode IN ('rw', 'ro')),
  status text NOT NULL CHECK (status IN ('reserved', 'attaching', 'attached')),
  attached_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX client_attachments_volume ON client_attachments (volume_id);

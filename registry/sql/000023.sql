-- A guest that libvirt migrates to another hypervisor: its volume is had by two QEMUs for a while. Each hypervisor writes its own word. See
-- docs/decisions/039-two-qemus-while-a-guest-is-migrated.md.
CREATE TABLE guest_moves (
  attachment_id uuid NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
  to_host text NOT NULL CHECK (to_host <> ''),
  -- By the hypervisor that the guest comes to: when it was last seen on its way in; null: it was there at once.
  arriving_at timestamptz,
  -- By the hypervisor of the attachment: when it was last seen on its way out, and when it was found gone.
  leaving_at timestamptz,
  left_at timestamptz,
  PRIMARY KEY (attachment_id, to_host)
);

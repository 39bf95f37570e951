-- Devices that lie on a disk that their volume group has lost: named, while the others on the back end may leave.
ALTER TABLE back_ends ADD COLUMN IF NOT EXISTS placement_fault text;
ALTER TABLE back_ends ADD COLUMN lost_devices text[] NOT NULL DEFAULT '{}';

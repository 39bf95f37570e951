-- Volumes that go back to what a snapshot of them holds: see docs/decisions/025-a-copy-is-a-volume-of-its-own.md.

-- `reverting`: the snapshot's bytes are copied back into the volume. The snapshot shows `restoring` from its beginning on until the volume is
-- whole again, also when that fails.
ALTER TABLE volumes
  DROP CONSTRAINT volumes_status_check,
  ADD CONSTRAINT volumes_status_check CHECK (status IN (
    'creating', 'available', 'reserved', 'attaching', 'in-use', 'detaching', 'extending', 'snapshotting', 'deleting', 'retyping',
    'reverting', 'awaiting-transfer', 'error', 'error_deleting', 'error_extending', 'maintenance')),
  DROP CONSTRAINT transition_has_operation,
  ADD CONSTRAINT transition_has_operation CHECK (operation IS NOT NULL OR status NOT IN (
    'creating', 'attaching', 'detaching', 'extending', 'snapshotting', 'deleting', 'retyping', 'reverting'));

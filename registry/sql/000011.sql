-- How a migration's copy was proven before the switch; null: before that was recorded, or before the switch. See `proof` in
-- model/migration.ts.
ALTER TABLE migrations ADD COLUMN proof text
  CHECK (proof IN ('both', 'reread', 'cache', 'inline', 'none', 'shared'));

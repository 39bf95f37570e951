-- Who has read what was compared before the switch; null: before that was recorded, or nothing was compared. See `evidence` in
-- model/migration.ts.
ALTER TABLE migrations ADD COLUMN evidence jsonb;

-- Of a volume that moved under a running guest: both sides of its mirror were read and were equal. See `proof` in model/migration.ts.
ALTER TABLE migrations DROP CONSTRAINT migrations_proof_check;
ALTER TABLE migrations ADD CONSTRAINT migrations_proof_check
  CHECK (proof IN ('both', 'reread', 'cache', 'inline', 'none', 'shared', 'compared'));

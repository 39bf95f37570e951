-- Plans that move many volumes: evacuations and balancings. Kept for ever, as the migrations are.
CREATE TABLE move_plans (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('evacuation', 'balance')),
  -- The node or back end that is emptied; the zone that is balanced, or `all`.
  source text NOT NULL,
  requested_by text NOT NULL,
  outcome text CHECK (outcome IN ('emptied', 'incomplete', 'stopped', 'cancelled', 'window-over')),
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  CHECK ((outcome IS NULL) = (finished_at IS NULL))
);
CREATE INDEX move_plans_source ON move_plans (source, started_at DESC);

-- One row a volume of a plan. No foreign keys to volumes and back ends: a plan outlives both.
CREATE TABLE planned_moves (
  plan_id uuid NOT NULL REFERENCES move_plans (id),
  volume_id uuid NOT NULL,
  -- The order of beginning.
  position integer NOT NULL,
  size_gib integer NOT NULL CHECK (size_gib > 0),
  attached boolean NOT NULL,
  source text NOT NULL,
  destination text,
  state text NOT NULL CHECK (state IN ('waiting', 'later', 'moving', 'moved', 'failed', 'stays', 'gone')),
  reasons jsonb NOT NULL DEFAULT '[]',
  -- How often it was begun.
  tries integer NOT NULL DEFAULT 0,
  PRIMARY KEY (plan_id, volume_id),
  CONSTRAINT on_its_way_somewhere CHECK (destination IS NOT NULL OR state IN ('later', 'stays', 'gone'))
);
CREATE INDEX planned_moves_state ON planned_moves (plan_id, state, position);

-- A decommissioned back end is empty for good: proven, and disabled.
ALTER TABLE back_ends ADD COLUMN decommissioned_at timestamptz CHECK (decommissioned_at IS NULL OR disabled);

-- What happened, and to whom it is still to be told: see docs/decisions/029-what-happened-is-told.md.

-- The receivers that control workers are configured to tell. `kinds`: of what; null: of everything.
CREATE TABLE webhooks (
  name text PRIMARY KEY CHECK (name <> ''),
  kinds text[],
  -- When a worker that has it was last heard of.
  heard_at timestamptz NOT NULL
);

-- `subject`: the volume, or the node, back end or zone of a plan. Of one subject each event is committed before the next one is written.
CREATE TABLE events (
  sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL,
  outcome text NOT NULL,
  subject text NOT NULL,
  data jsonb NOT NULL
);
CREATE INDEX events_at ON events (at);

CREATE TABLE event_deliveries (
  webhook text NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
  sequence bigint NOT NULL REFERENCES events (sequence) ON DELETE CASCADE,
  subject text NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
  tries integer NOT NULL DEFAULT 0,
  first_try_at timestamptz,
  due_at timestamptz NOT NULL DEFAULT now(),
  -- What the last try came to, when it was not delivered.
  problem text,
  PRIMARY KEY (webhook, sequence)
);
CREATE INDEX event_deliveries_waiting ON event_deliveries (webhook, subject, sequence) WHERE state = 'waiting';
CREATE INDEX event_deliveries_dead ON event_deliveries (webhook, sequence) WHERE state = 'dead';
CREATE INDEX event_deliveries_sequence ON event_deliveries (sequence);

-- Of what takes the volume's row away: the volume, and the snapshots that go with it, as they were when that began. Nothing else could tell
-- them in the end.
ALTER TABLE operations ADD COLUMN begun_with jsonb;

CREATE FUNCTION note_event(p_kind text, p_outcome text, p_subject text, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  listeners text[];
  noted bigint;
BEGIN
  SELECT array_agg(name ORDER BY name) INTO listeners FROM webhooks
    WHERE heard_at > now() - interval '1 day' AND (kinds IS NULL OR p_kind = ANY (kinds));
  IF listeners IS NULL THEN RETURN; END IF;
  INSERT INTO events (kind, outcome, subject, data) VALUES (p_kind, p_outcome, p_subject, p_data) RETURNING sequence INTO noted;
  INSERT INTO event_deliveries (webhook, sequence, subject) SELECT unnest(listeners), noted, p_subject;
END
$$;

CREATE FUNCTION keep_what_goes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.operation IN ('delete', 'unmanage') THEN
    NEW.begun_with := jsonb_build_object(
      'volume', (SELECT to_jsonb(v) FROM volumes v WHERE v.id = NEW.volume_id),
      'snapshots', (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.id), '[]') FROM snapshots s WHERE s.volume_id = NEW.volume_id));
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER keep_what_goes BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION keep_what_goes();

-- A snapshot that is made or deleted, and an attachment that comes or goes, are still under way in the registry when the operation ends.
-- Snapshots that went with their volume are told one by one, before it.
CREATE FUNCTION note_operation() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  snapshot jsonb;
  about jsonb;
BEGIN
  about := jsonb_build_object(
    'operation', to_jsonb(NEW) - 'begun_with',
    'volume', coalesce((SELECT to_jsonb(v) FROM volumes v WHERE v.id = NEW.volume_id), NEW.begun_with -> 'volume'),
    'snapshots', CASE WHEN NEW.operation LIKE '%snapshot' THEN (
      SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.id), '[]') FROM snapshots s
      WHERE s.volume_id = NEW.volume_id AND s.status IN ('creating', 'deleting')) ELSE '[]' END,
    'attachments', (SELECT coalesce(jsonb_agg(to_jsonb(a) - 'connection' ORDER BY a.id), '[]') FROM attachments a
                    WHERE a.volume_id = NEW.volume_id));
  IF NEW.operation = 'delete' AND NEW.outcome = 'success' THEN
    FOR snapshot IN SELECT jsonb_array_elements(NEW.begun_with -> 'snapshots') LOOP
      PERFORM note_event('delete-snapshot', 'success', NEW.volume_id::text, about || jsonb_build_object('snapshots', jsonb_build_array(snapshot)));
    END LOOP;
  END IF;
  PERFORM note_event(NEW.operation, NEW.outcome, NEW.volume_id::text, about);
  RETURN NULL;
END
$$;
CREATE TRIGGER note_begun_and_ended AFTER INSERT ON operations FOR EACH ROW WHEN (NEW.outcome IS NOT NULL)
  EXECUTE FUNCTION note_operation();
CREATE TRIGGER note_ended AFTER UPDATE ON operations FOR EACH ROW WHEN (OLD.outcome IS NULL AND NEW.outcome IS NOT NULL)
  EXECUTE FUNCTION note_operation();

CREATE FUNCTION note_migration() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_event('migrate', NEW.outcome, NEW.volume_id::text, jsonb_build_object(
    'migration', to_jsonb(NEW),
    'volume', (SELECT to_jsonb(v) FROM volumes v WHERE v.id = NEW.volume_id)));
  RETURN NULL;
END
$$;
CREATE TRIGGER note_ended AFTER UPDATE ON migrations FOR EACH ROW WHEN (OLD.outcome IS NULL AND NEW.outcome IS NOT NULL)
  EXECUTE FUNCTION note_migration();

CREATE FUNCTION note_plan() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_event(NEW.kind, NEW.outcome, NEW.source, jsonb_build_object(
    'plan', to_jsonb(NEW),
    'volumes', (SELECT coalesce(jsonb_object_agg(state, volumes), '{}') FROM (
      SELECT state, count(*) AS volumes FROM planned_moves WHERE plan_id = NEW.id GROUP BY state) t)));
  RETURN NULL;
END
$$;
CREATE TRIGGER note_ended AFTER UPDATE ON move_plans FOR EACH ROW WHEN (OLD.outcome IS NULL AND NEW.outcome IS NOT NULL)
  EXECUTE FUNCTION note_plan();

-- When what a back end says of its room was so: a report may repeat what it said before, while it is slow to answer.
ALTER TABLE back_ends ADD COLUMN measured_at timestamptz(3) NOT NULL DEFAULT now();

-- As in 000012, but by when the room was measured.
CREATE OR REPLACE FUNCTION promised_bytes(p_back_end text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(bytes), 0)::bigint FROM (
    SELECT m.total_bytes AS bytes
    FROM migrations m JOIN back_ends b ON b.name = m.destination
    WHERE m.destination = p_back_end AND m.outcome IS NULL
      AND (m.allocated_at IS NULL OR least(b.heartbeat_at, b.measured_at) < m.allocated_at + interval '5 seconds')
    UNION ALL
    SELECT v.size_bytes FROM volumes v WHERE v.host = p_back_end AND v.operation = 'create'
  ) AS promises
$$;

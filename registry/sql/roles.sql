-- The roles of the registry's users, without a login: an administrator makes logins in them. Of the whole server, so they may be there.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['ferry_control', 'ferry_storage', 'ferry_compute', 'ferry_api', 'ferry_reader'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
  -- Whether commits can be lost is told by who is connected as what.
  BEGIN
    GRANT pg_read_all_stats TO ferry_control, ferry_storage, ferry_compute, ferry_api, ferry_reader;
  EXCEPTION
    WHEN insufficient_privilege THEN
      RAISE NOTICE 'pg_read_all_stats is not ours to give: a base backup will be taken for a standby';
    WHEN internal_error OR unique_violation THEN
      -- Another database's owner gives it just now.
      NULL;
  END;
END $$;

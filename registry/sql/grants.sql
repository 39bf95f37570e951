-- What each role may do, and nothing else; may be repeated. Run again after each change of the schema, by its owner.
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM ferry_control, ferry_storage, ferry_compute, ferry_api, ferry_reader', current_schema());
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO ferry_control, ferry_storage, ferry_compute, ferry_api, ferry_reader', current_schema());
  EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO ferry_control, ferry_api', current_schema());
  -- Control workers and operators: all that workflows and the CLI do. The schema itself is its owner's.
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO ferry_control', current_schema());
  -- Who only looks. The API looks at everything too.
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO ferry_api, ferry_reader', current_schema());
END $$;
REVOKE INSERT, UPDATE, DELETE ON schema_versions FROM ferry_control;
-- Keys of transfers are the API's to compare.
REVOKE SELECT ON volume_transfers FROM ferry_reader;
GRANT SELECT (id, volume_id, tenant_id, name, no_snapshots, created_at) ON volume_transfers TO ferry_reader;

-- All workers hold their names.
GRANT SELECT, INSERT, UPDATE, DELETE ON worker_names TO ferry_storage, ferry_compute;
GRANT SELECT ON schema_versions, registry_identity TO ferry_storage, ferry_compute;

-- A storage node asks whether an order is wanted, says what it has, and how what it exports is reached. It moves no volume: where one is
-- stands in `volumes`, which it cannot write.
GRANT SELECT ON volumes, snapshots, migrations, operations, attachments, kept_sources, discrepancies, offers TO ferry_storage;
GRANT SELECT, INSERT, UPDATE ON back_ends, storages TO ferry_storage;
GRANT INSERT, UPDATE ON offers TO ferry_storage;
GRANT UPDATE (connection) ON attachments TO ferry_storage;
GRANT SELECT ON guest_moves TO ferry_storage;

-- A hypervisor likewise: it says that it is there, in which domain a disk is, and which guests leave it and come to it.
GRANT SELECT ON volumes, snapshots, migrations, operations, attachments, client_attachments, kept_sources, discrepancies, offers, back_ends
  TO ferry_compute;
GRANT SELECT, INSERT, UPDATE ON compute_nodes TO ferry_compute;
GRANT UPDATE (connection, compute_host) ON attachments TO ferry_compute;
GRANT SELECT, INSERT, UPDATE, DELETE ON guest_moves TO ferry_compute;

-- The API writes what is said of volumes, not where they are or that they move: that is the workflows', which it can only ask for.
GRANT UPDATE (name, description, metadata, status, previous_status, shown_status, operation, operation_owner, operation_since,
  growing_to_bytes, read_only, bootable, tenant_id, user_id, volume_type, updated_at) ON volumes TO ferry_api;
GRANT UPDATE (name, description, metadata, status, shown_status, progress, tenant_id, user_id, updated_at) ON snapshots TO ferry_api;
GRANT INSERT, UPDATE, DELETE ON attachments, client_attachments, volume_types, volume_type_access, quotas, quota_defaults, volume_transfers
  TO ferry_api;
GRANT INSERT, UPDATE ON operations TO ferry_api;
GRANT INSERT ON events, event_deliveries TO ferry_api;
GRANT UPDATE (old_type, new_type) ON migrations TO ferry_api;
GRANT UPDATE (disabled, disabled_reason, decommissioned_at) ON back_ends TO ferry_api;

-- A volume of which devices and registry do not agree is given to nobody: see docs/decisions/038-an-end-that-was-forgotten-is-written-again.md.

-- The begin of 000017 with `p_in_doubt`: it may begin although the devices say something else of the volume than the registry.
DROP FUNCTION begin_operation(uuid, text, text, text, text[], text, boolean, boolean);

-- Takes the volume for an operation; no row when the volume is claimed, busy, in doubt, of another status or another tenant's. `p_bare`: it
-- must have neither attachments nor snapshots. An owner begins each operation once in its life. What it was shown as is over.
CREATE FUNCTION begin_operation(
  p_volume uuid, p_operation text, p_owner text, p_tenant text, p_from text[], p_busy text, p_bare boolean, p_copied boolean,
  p_in_doubt boolean
) RETURNS SETOF volumes
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM volumes WHERE id = p_volume FOR NO KEY UPDATE;
  RETURN QUERY UPDATE volumes SET
      operation = p_operation, operation_owner = p_owner, operation_since = now(),
      previous_status = status, status = coalesce(p_busy, status), shown_status = NULL, updated_at = now()
    WHERE id = p_volume AND (p_tenant IS NULL OR tenant_id = p_tenant)
      AND migration_owner IS NULL AND operation IS NULL AND coalesce(shown_status, status) = ANY (p_from)
      AND (p_copied OR NOT is_copied_from(p_volume))
      AND (p_in_doubt OR NOT EXISTS (SELECT FROM discrepancies x WHERE x.volume_id = p_volume))
      AND NOT (p_bare AND (EXISTS (SELECT FROM attachments a WHERE a.volume_id = p_volume)
                           OR EXISTS (SELECT FROM snapshots s WHERE s.volume_id = p_volume)))
      AND NOT EXISTS (SELECT FROM operations o WHERE o.owner = p_owner AND o.volume_id = p_volume AND o.operation = p_operation)
    RETURNING *;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO operations (owner, volume_id, operation, tenant_id)
    SELECT p_owner, p_volume, p_operation, tenant_id FROM volumes WHERE id = p_volume;
END
$$;

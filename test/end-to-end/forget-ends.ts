import assert from 'node:assert/strict';
import type { Client } from '@temporalio/client';
import pg from 'pg';
import type { PlainSystem } from '../../testbed/system.ts';
import { backUpRegistry, type RegistryBackup } from './registry-backup.ts';
import { poll } from './stage.ts';

/** So that an operation does not get past its last commit before Postgres was stopped: as long as it runs, none of them comes to pass. */
const holdEnds = `
  DO $$ BEGIN EXECUTE format('
    CREATE OR REPLACE FUNCTION hold_end() RETURNS trigger LANGUAGE plpgsql AS $f$
    BEGIN
      WHILE pg_postmaster_start_time() = %L LOOP PERFORM pg_sleep(0.02); END LOOP;
      RETURN coalesce(NEW, OLD);
    END $f$', pg_postmaster_start_time()); END $$;
  CREATE OR REPLACE TRIGGER hold_end BEFORE UPDATE ON volumes FOR EACH ROW
    WHEN (OLD.operation IS NOT NULL AND NEW.operation IS NULL) EXECUTE FUNCTION hold_end();
  CREATE OR REPLACE TRIGGER hold_removal BEFORE DELETE ON volumes FOR EACH ROW EXECUTE FUNCTION hold_end()`;

const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'`;

/**
 * Begins operations, and copies the registry when each of them waits for its last commit, which the copy does not have. They have ended well
 * when it answers.
 */
export async function forgetEnds(
  system: Pick<PlainSystem, 'directory' | 'postgres'>,
  begin: (args: string[]) => Promise<{ exitCode: number; stdout: string; stderr: string }>,
  commands: readonly string[][],
): Promise<{ answers: Record<string, unknown>[]; backup: RegistryBackup }> {
  const client = new pg.Client({ connectionString: system.postgres.url });
  client.on('error', () => {});
  await client.connect();
  await client.query(holdEnds);
  const running = commands.map((args) => begin(args));
  await poll(async () => (await client.query(waiting)).rows.length >= commands.length);
  await client.end();
  const backup = await backUpRegistry(system);
  const answers = (await Promise.all(running)).map(({ exitCode, stdout, stderr }, at) => {
    assert.equal(exitCode, 0, `ferry ${commands[at]!.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  });
  return { answers, backup };
}

/** Temporal does not know the workflow any more, as when it is past its retention. */
export async function forgetHistory({ workflow, workflowService, options }: Client, workflowId: string): Promise<void> {
  await workflowService.deleteWorkflowExecution({ namespace: options.namespace, workflowExecution: { workflowId } });
  const isKnown = () =>
    workflow
      .getHandle(workflowId)
      .describe()
      .then(
        () => true,
        () => false,
      );
  await poll(async () => !(await isKnown()));
}

import type { WorkflowHandle } from '@temporalio/client';
import pg from 'pg';
import { poll, type Stage } from './stage.ts';

/**
 * Holds a migration at its switch: everything before it is done, nothing after it has begun. The returned function lets it go on. The
 * migration must be slow enough to be met while it copies (an undo: while it verifies), and be of a flow that proves its copy meanwhile: then nothing is written to the
 * registry between.
 */
export async function holdSwitch(
  stage: Stage,
  id: string,
  handle: WorkflowHandle,
  isMetIn: 'copying' | 'verifying' = 'copying',
): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: stage.postgres.url });
  client.on('error', () => {});
  await client.connect();
  await poll(async () => {
    const { rows } = await client.query<{ phase: string }>(
      'SELECT phase FROM migrations WHERE volume_id = $1 ORDER BY epoch DESC LIMIT 1',
      [id],
    );
    return rows[0]?.phase === isMetIn;
  });
  await client.query('BEGIN');
  await client.query('SELECT FROM volumes WHERE id = $1 FOR UPDATE', [id]);
  await poll(async () => {
    const { raw } = await handle.describe();
    return (raw.pendingActivities ?? []).some((each) => each.activityType?.name === 'switchVolume');
  });
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
}

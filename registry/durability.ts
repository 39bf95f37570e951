import * as z from 'zod';
import type { Queries } from './open-registry.ts';

const settings = z.object({
  synchronousCommit: z.string(),
  synchronousStandbyNames: z.string(),
  fsync: z.string(),
  fullPageWrites: z.string(),
  standbys: z.number(),
});

/**
 * Why commits that the registry has acknowledged can be lost, a line for each reason; none when they cannot. Postgres is asked for what
 * holds for our own sessions. Who only receives a base backup, or changes of single tables, is no standby: nobody fails over to it.
 */
export async function durabilityRisks(registry: Queries): Promise<string[]> {
  const [found] = await registry.rows(
    settings,
    `SELECT current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       (SELECT count(*)::int FROM pg_stat_replication r
        WHERE r.application_name IS DISTINCT FROM 'pg_basebackup'
          AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')) AS standbys`,
  );
  const { synchronousCommit: commit, synchronousStandbyNames: names, fsync, fullPageWrites, standbys } = found!;
  const many = standbys === 1 ? 'a standby' : `${standbys} standbys`;
  return [
    fsync === 'on' ? null : 'fsync is off: a crash can lose or corrupt everything',
    fullPageWrites === 'on' ? null : 'full_page_writes is off: a crash can corrupt pages',
    commit === 'off' ? 'synchronous_commit is off: a crash loses the last commits' : null,
    standbys > 0 && names === ''
      ? `it has ${many}, and synchronous_standby_names is empty: a failover loses the last commits`
      : null,
    names !== '' && commit === 'local'
      ? 'synchronous_commit is local: a failover to a standby loses the last commits'
      : null,
  ].filter((risk) => risk !== null);
}

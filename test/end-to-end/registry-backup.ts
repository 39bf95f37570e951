import { cp, mkdtemp, readdir, rm, chown, chmod } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { PlainSystem } from '../../testbed/system.ts';

/** The user under whom the embedded Postgres runs when root starts it. */
const nobody = 65_534;

export interface RegistryBackup {
  /** Postgres dies, and comes back with what it had then. */
  restore(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * A backup is usually older than the seconds after which a node counts as down. Of one that is younger, back ends would be up by what it says,
 * and go down in the middle of what a test does next.
 */
async function forgetHeartbeats(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`UPDATE back_ends SET heartbeat_at = now() - interval '1 hour'`);
  } finally {
    await client.end();
  }
}

/** A cold copy of the registry, as a backup tool makes one; `restore` puts it in the place of what is there now. */
export async function backUpRegistry(stage: Pick<PlainSystem, 'directory' | 'postgres'>): Promise<RegistryBackup> {
  const data = join(stage.directory, 'services/postgres/postgres');
  const copy = await mkdtemp(join(stage.directory, 'backup-'));
  const put = async (from: string, to: string) => {
    await rm(to, { recursive: true, force: true });
    await cp(from, to, { recursive: true, preserveTimestamps: true });
    if (process.getuid?.() === 0) {
      const all = await readdir(to, { recursive: true });
      for (const path of ['', ...all]) await chown(join(to, path), nobody, nobody);
    }
    await chmod(to, 0o700);
  };
  await stage.postgres.stop();
  await put(data, copy);
  await stage.postgres.restart();
  return {
    async restore() {
      await stage.postgres.crash();
      await put(copy, data);
      await stage.postgres.restart();
      await forgetHeartbeats(stage.postgres.url);
    },
    discard: () => rm(copy, { recursive: true, force: true }),
  };
}

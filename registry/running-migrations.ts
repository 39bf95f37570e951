import * as z from 'zod';
import { phase } from '../model/migration.ts';
import type { Queries } from './open-registry.ts';

const runningPhase = z.object({ phase, migrations: z.number(), oldestSeconds: z.number() });

/** How many migrations are under way, by phase, and the age of the oldest one in it. Phases without any are left out. */
export function countRunningMigrations(registry: Queries): Promise<z.infer<typeof runningPhase>[]> {
  return registry.rows(
    runningPhase,
    `SELECT phase, count(*)::int AS migrations, extract(epoch FROM now() - min(started_at))::float8 AS oldest_seconds
     FROM migrations WHERE outcome IS NULL GROUP BY phase`,
    [],
  );
}

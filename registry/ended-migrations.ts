import * as z from 'zod';
import { outcome } from '../model/migration.ts';
import type { Queries } from './open-registry.ts';

const ended = z.object({ outcome, errorType: z.string().nullable(), migrations: z.number() });

/** How many migrations on record have ended, by how, and those that failed by the error. Records stay: the numbers only grow. */
export function countEndedMigrations(registry: Queries): Promise<z.infer<typeof ended>[]> {
  return registry.rows(
    ended,
    `SELECT outcome, CASE WHEN outcome = 'error' THEN error ->> 'type' END AS error_type, count(*)::int AS migrations
     FROM migrations WHERE outcome IS NOT NULL GROUP BY 1, 2`,
  );
}

const plans = z.object({ running: z.number(), idle: z.number() });

/** How many evacuations and balancings are under way, and how many of them move nothing now. */
export async function countMovePlans(registry: Queries): Promise<z.infer<typeof plans>> {
  const [found] = await registry.rows(
    plans,
    `SELECT count(*)::int AS running, count(*) FILTER (WHERE NOT EXISTS (
       SELECT FROM planned_moves m WHERE m.plan_id = p.id AND m.state = 'moving'))::int AS idle
     FROM move_plans p WHERE p.outcome IS NULL`,
  );
  return found!;
}

import * as z from 'zod';
import {
  emptyTally,
  moveOutcome,
  moveState,
  type EvacuationRequest,
  type MoveLimits,
  type MoveOutcome,
  type MovePlan,
  type MoveState,
  type MoveTally,
  type PlannedMove,
} from '../model/evacuation.ts';
import { FerryError, refusal, type Reason } from '../model/errors.ts';
import { chooseMoves, planBalance, planEvacuation, reasonsAgainstDestinations } from '../model/placement/plan-moves.ts';
import { backEndsOf, gatherMoveFacts } from './move-facts.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** A move is tried so often, each time to where there is room then. */
const mostTries = 3;

/** So many waiting moves are looked at for those that may begin: enough to look past the ones to a node that is full. */
const lookahead = 500;

/** So many volumes that fit nowhere are told one by one. */
const toldOneByOne = 20;

export const planRecord = z.object({
  id: z.uuid(),
  kind: z.enum(['evacuation', 'balance']),
  source: z.string(),
  requestedBy: z.string(),
  outcome: moveOutcome.nullable(),
  startedAt: z.date(),
  finishedAt: z.date().nullable(),
});
export type PlanRecord = z.infer<typeof planRecord>;

export const plannedMoveRecord = z.object({
  volumeId: z.uuid(),
  sizeBytes: z.number(),
  attached: z.boolean(),
  source: z.string(),
  destination: z.string().nullable(),
  state: moveState,
  reasons: z.array(z.custom<Reason>()),
  tries: z.number(),
});
export type PlannedMoveRecord = z.infer<typeof plannedMoveRecord>;

/**
 * What an evacuation would do now. `EvacuationRefused` when a named destination cannot be used; volumes that fit nowhere are in the
 * plan. Changes nothing.
 */
export function readEvacuationPlan(
  registry: Registry,
  request: Pick<EvacuationRequest, 'source' | 'to' | 'order'>,
): Promise<MovePlan> {
  return registry.transaction((q) => planNow(q, request), 'snapshot');
}

async function planNow(
  q: Queries,
  { source, to, order }: Pick<EvacuationRequest, 'source' | 'to' | 'order'>,
): Promise<MovePlan> {
  const names = await backEndsOf(q, source);
  const sources = new Set(names);
  const facts = await gatherMoveFacts(q, names);
  const [first, ...others] = reasonsAgainstDestinations(to, sources, facts.rooms, facts.now);
  if (first) {
    const { message, details } = refusal([first, ...others]);
    throw new FerryError('EvacuationRefused', message, details);
  }
  return planEvacuation({ ...facts, sources, to, order });
}

/**
 * Writes what an evacuation does, or what of it is left to do: called at its beginning and after every round. The first time,
 * volumes that fit nowhere refuse the whole (`EvacuationRefused`), and nothing is written. May be repeated.
 */
export function writeEvacuationPlan(
  registry: Registry,
  planId: string,
  request: Pick<EvacuationRequest, 'source' | 'to' | 'order' | 'requestedBy'>,
): Promise<MoveTally> {
  return registry.transaction(async (q) => {
    const first = await insertPlan(q, { id: planId, kind: 'evacuation', ...request });
    const plan = await planNow(q, request);
    if (first && plan.homeless.length > 0) throw homelessRefusal(plan);
    await writePlan(q, planId, plan);
    return tallyOf(q, planId);
  });
}

/** The moves that even out back ends now. Changes nothing. */
export function readBalancePlan(
  registry: Registry,
  request: { zone: string | null; threshold: number },
): Promise<PlannedMove[]> {
  return registry.transaction(
    async (q) => planBalance({ ...(await gatherMoveFacts(q, null)), ...request }),
    'snapshot',
  );
}

/** Writes the moves that even out back ends. Written before: they stay as they are. */
export function writeBalancePlan(
  registry: Registry,
  planId: string,
  request: { zone: string | null; threshold: number; requestedBy: string },
): Promise<MoveTally> {
  return registry.transaction(async (q) => {
    const head = {
      id: planId,
      kind: 'balance',
      source: request.zone ?? 'all',
      requestedBy: request.requestedBy,
    } as const;
    if (await insertPlan(q, head)) {
      const moves = planBalance({ ...(await gatherMoveFacts(q, null)), ...request });
      await writePlan(q, planId, { moves, stays: [], homeless: [] });
    }
    return tallyOf(q, planId);
  });
}

/** True when it was not there before. */
async function insertPlan(
  q: Queries,
  { id, kind, source, requestedBy }: Pick<PlanRecord, 'id' | 'kind' | 'source' | 'requestedBy'>,
): Promise<boolean> {
  const made = await q.rows(
    z.object({ id: z.string() }),
    `INSERT INTO move_plans (id, kind, source, requested_by) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING RETURNING id`,
    [id, kind, source, requestedBy],
  );
  return made.length > 0;
}

async function writePlan(q: Queries, planId: string, plan: MovePlan): Promise<void> {
  const rows = [
    ...plan.moves.map((m) => ({ ...m, state: 'waiting', reasons: [] as Reason[] })),
    ...[...plan.stays, ...plan.homeless].map((s) => ({
      ...s,
      attached: false,
      destination: null,
      state: s.passing ? 'later' : 'stays',
    })),
  ];
  // What is over is not begun again; what was not begun is gone when it is not where it was.
  await q.rows(
    noColumns,
    `UPDATE planned_moves SET state = 'gone', reasons = '[]' WHERE plan_id = $1 AND state IN ('waiting', 'later', 'stays') AND volume_id <> ALL ($2)`,
    [planId, rows.map((r) => r.volumeId)],
  );
  await q.rows(
    noColumns,
    `INSERT INTO planned_moves AS m (plan_id, volume_id, position, size_bytes, attached, source, destination, state, reasons)
     SELECT $1, r.* FROM unnest($2::uuid[], $3::int[], $4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::text[], $9::jsonb[])
       AS r (volume_id, position, size_bytes, attached, source, destination, state, reasons)
     ON CONFLICT (plan_id, volume_id) DO UPDATE SET
       position = excluded.position, size_bytes = excluded.size_bytes, attached = excluded.attached, source = excluded.source,
       destination = excluded.destination, state = excluded.state, reasons = excluded.reasons
     WHERE m.state IN ('waiting', 'later', 'stays', 'gone', 'moved')`,
    [
      planId,
      rows.map((r) => r.volumeId),
      rows.map((_, i) => i),
      rows.map((r) => r.sizeBytes),
      rows.map((r) => r.attached),
      rows.map((r) => r.source),
      rows.map((r) => r.destination),
      rows.map((r) => r.state),
      rows.map((r) => JSON.stringify(r.reasons)),
    ],
  );
}

function homelessRefusal(plan: MovePlan): FerryError {
  const told = plan.homeless.slice(0, toldOneByOne).flatMap(({ reasons }) => reasons);
  const more = plan.homeless.length - toldOneByOne;
  const lines = told.map(({ message }) => message);
  if (more > 0) lines.push(`… and ${more} more.`);
  return new FerryError(
    'EvacuationRefused',
    `${plan.homeless.length} of ${plan.homeless.length + plan.moves.length} volumes fit nowhere; nothing was moved.\n${lines.join('\n')}`,
    { reasons: told, homeless: plan.homeless.length },
  );
}

/** How a move that was begun came out. */
export interface EndedMove {
  volumeId: string;
  /** Null: the volume moved. */
  reason: Reason | null;
}

/** What stands in a move's way for a while, or at its destination only: it is planned anew. */
const plannedAnew: ReadonlySet<Reason['type']> = new Set([
  'VolumeMigrating',
  'VolumeBusy',
  'InsufficientSpace',
  'BackEndDown',
  'BackEndDisabled',
  'CapabilityMissing',
  'BackEndNotFound',
  'BackEndUnavailable',
  'NodeUnavailable',
  'DestinationWriteFailed',
  'ToolFailed',
  'Terminated',
]);
/** Somebody else's doing; not counted as a try. */
const othersDoing: ReadonlySet<Reason['type']> = new Set(['VolumeMigrating', 'VolumeBusy']);

/** Where a volume of a plan is after a move that did not succeed. */
export function stateAfter(reason: Reason, tries: number): MoveState {
  const all = reason.type === 'MigrationRefused' ? ((reason.details?.['reasons'] ?? []) as Reason[]) : [reason];
  const types = all.map(({ type }) => type);
  if (types.includes('VolumeNotFound') || types.includes('SameBackEnd')) return 'gone';
  if (types.some((type) => othersDoing.has(type))) return 'later';
  if (types.every((type) => plannedAnew.has(type))) return tries < mostTries ? 'later' : 'failed';
  if (types.includes('VolumeHasSnapshots') || types.includes('DeviceLost') || types.includes('VolumeStatusRefused'))
    return 'stays';
  return 'failed';
}

/**
 * Writes how moves ended, and takes those that may begin now beside the running ones; `begin` false: only writes. A move that was taken,
 * but is not among the running ones, is taken again: the answer that told of it was lost. So it may be repeated.
 */
export function advancePlan(
  registry: Registry,
  args: {
    planId: string;
    ended: readonly EndedMove[];
    running: readonly string[];
    limits: MoveLimits;
    begin: boolean;
    /** Whether a failed move, also one of `ended`, keeps others from beginning. */
    stopOnFailure: boolean;
  },
): Promise<{ moves: PlannedMove[]; tally: MoveTally }> {
  const { planId, running, limits } = args;
  return registry.transaction(async (q) => {
    for (const { volumeId, reason } of args.ended) await writeEnd(q, planId, volumeId, reason);
    const { failed } = (await tallyOf(q, planId)).volumes;
    const moves = args.begin && !(args.stopOnFailure && failed > 0) ? await takeMoves(q, planId, running, limits) : [];
    return { moves, tally: await tallyOf(q, planId) };
  });
}

async function writeEnd(q: Queries, planId: string, volumeId: string, reason: Reason | null): Promise<void> {
  const [row] = await q.rows(
    z.object({ tries: z.number() }),
    `SELECT tries FROM planned_moves WHERE plan_id = $1 AND volume_id = $2 AND state = 'moving' FOR UPDATE`,
    [planId, volumeId],
  );
  if (!row) return;
  const state = reason === null ? 'moved' : stateAfter(reason, row.tries + 1);
  await q.rows(
    noColumns,
    `UPDATE planned_moves SET state = $3, reasons = $4::jsonb, tries = tries + $5 WHERE plan_id = $1 AND volume_id = $2`,
    [planId, volumeId, state, JSON.stringify(reason ? [reason] : []), reason && othersDoing.has(reason.type) ? 0 : 1],
  );
}

async function takeMoves(
  q: Queries,
  planId: string,
  running: readonly string[],
  limits: MoveLimits,
): Promise<PlannedMove[]> {
  const moveRow = plannedMoveRecord
    .pick({ volumeId: true, sizeBytes: true, attached: true, source: true })
    .extend({ destination: z.string() });
  const begun = await q.rows(
    moveRow,
    `SELECT volume_id, size_bytes, attached, source, destination FROM planned_moves WHERE plan_id = $1 AND state = 'moving' ORDER BY position`,
    [planId],
  );
  const lost = begun.filter(({ volumeId }) => !running.includes(volumeId));
  const full = nodesAtTheirLimit(begun, limits);
  const waiting = await q.rows(
    moveRow,
    `SELECT volume_id, size_bytes, attached, source, destination FROM planned_moves
     WHERE plan_id = $1 AND state = 'waiting'
       AND split_part(source, '@', 1) <> ALL ($2) AND split_part(destination, '@', 1) <> ALL ($3)
     ORDER BY position LIMIT $4`,
    [planId, full.sources, full.destinations, lookahead],
  );
  const chosen = chooseMoves(waiting, begun, limits);
  await q.rows(
    noColumns,
    `UPDATE planned_moves SET state = 'moving', reasons = '[]' WHERE plan_id = $1 AND state = 'waiting' AND volume_id = ANY ($2)`,
    [planId, chosen.map(({ volumeId }) => volumeId)],
  );
  return [...lost, ...chosen];
}

function nodesAtTheirLimit(
  begun: readonly Pick<PlannedMove, 'source' | 'destination'>[],
  limits: MoveLimits,
): { sources: string[]; destinations: string[] } {
  const atLimit = (names: string[], limit: number) =>
    [...Map.groupBy(names, (name) => name.split('@')[0]!)].filter(([, of]) => of.length >= limit).map(([node]) => node);
  return {
    sources: atLimit(
      begun.map(({ source }) => source),
      limits.perSourceNode,
    ),
    destinations: atLimit(
      begun.map(({ destination }) => destination),
      limits.perDestinationNode,
    ),
  };
}

const tallyRow = z.object({ state: moveState, volumes: z.number(), bytes: z.number() });

async function tallyOf(q: Queries, planId: string): Promise<MoveTally> {
  const rows = await q.rows(
    tallyRow,
    `SELECT state, count(*)::int AS volumes, sum(size_bytes)::bigint AS bytes FROM planned_moves WHERE plan_id = $1 GROUP BY state`,
    [planId],
  );
  const tally = emptyTally();
  for (const { state, volumes, bytes } of rows) {
    tally.volumes[state] = volumes;
    tally.bytes[state] = bytes;
  }
  return tally;
}

/** The plan is over. Again: as it is. */
export async function finishPlan(registry: Queries, planId: string, outcome: MoveOutcome): Promise<void> {
  await registry.rows(
    noColumns,
    'UPDATE move_plans SET outcome = $2, finished_at = now() WHERE id = $1 AND outcome IS NULL',
    [planId, outcome],
  );
}

/** The plan of that id, or the last one of that source (`balance`: the last balancing). Null if there is none. */
export async function findPlan(registry: Queries, idOrSource: string): Promise<PlanRecord | null> {
  const [found] = await registry.rows(
    planRecord,
    `SELECT * FROM move_plans WHERE id::text = $1 OR source = $1 OR (kind = 'balance' AND $1 = 'balance') ORDER BY started_at DESC LIMIT 1`,
    [idOrSource],
  );
  return found ?? null;
}

/** The last begun first. */
export function listPlans(registry: Queries, limit: number): Promise<PlanRecord[]> {
  return registry.rows(planRecord, 'SELECT * FROM move_plans ORDER BY started_at DESC LIMIT $1', [limit]);
}

export function tallyPlan(registry: Queries, planId: string): Promise<MoveTally> {
  return tallyOf(registry, planId);
}

/** The volumes of a plan in its order; of some states only. */
export function listMoves(
  registry: Queries,
  planId: string,
  filter: { states?: readonly MoveState[] | undefined; limit?: number | undefined } = {},
): Promise<PlannedMoveRecord[]> {
  return registry.rows(
    plannedMoveRecord,
    `SELECT * FROM planned_moves WHERE plan_id = $1 AND ($2::text[] IS NULL OR state = ANY ($2)) ORDER BY position LIMIT $3`,
    [planId, filter.states ?? null, filter.limit ?? null],
  );
}

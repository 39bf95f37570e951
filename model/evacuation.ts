import * as z from 'zod';
import type { Reason } from './errors.ts';
import { backEndName, nodeName } from './ids.ts';
import { keepSourceSeconds } from './kept-source.ts';
import { bandwidthPayload } from './messages.ts';
import { verifyMode } from './migration.ts';
import { label } from './text.ts';

/** What is emptied: a node with all its back ends, or one back end. */
export const evacuationSource = z.union([backEndName, nodeName], {
  error: 'is neither a node (e.g. server1) nor a back end (e.g. server1@lvmstorage-1)',
});

/** In which order volumes leave. */
export const moveOrder = z.enum(['smallest', 'largest', 'detached-first']);
export type MoveOrder = z.infer<typeof moveOrder>;

/** How many migrations run at once. */
export const moveLimits = z.object({
  total: z.number().int().min(1).max(200).default(8),
  perSourceNode: z.number().int().min(1).max(200).default(4),
  perDestinationNode: z.number().int().min(1).max(200).default(4),
});
export type MoveLimits = z.infer<typeof moveLimits>;

/** How the moves of a plan are carried out; the same for an evacuation and a balancing. */
export const moveSettings = z.object({
  limits: moveLimits.prefault({}),
  /** Bytes a second that all migrations share; null is no cap. */
  bandwidth: bandwidthPayload.default(null),
  /** Null: each as a migration by itself would be. */
  verify: verifyMode.nullable().default(null),
  /** For how long each move keeps its source; null: not at all. */
  keepSourceSeconds: keepSourceSeconds.nullable().default(null),
  /** After a volume that could not be moved: go on with the others, or begin no more. */
  onFailure: z.enum(['continue', 'stop']).default('continue'),
  nodeTimeoutSeconds: z.number().int().positive().default(600),
  requestedBy: label.default('admin'),
});
export type MoveSettings = z.infer<typeof moveSettings>;

/** What `evacuateHost` is started with. */
export const evacuationRequest = moveSettings.extend({
  source: evacuationSource,
  /** Where to; empty: wherever there is room in the volume's zone. */
  to: z.array(backEndName).default([]),
  order: moveOrder.default('largest'),
  /** Why, for those who look at the disabled back ends. */
  reason: label.min(1).default('evacuated'),
  startAt: z.iso.datetime({ offset: true }).nullable().default(null),
  /** No move begins after so many seconds: the length of a maintenance window. */
  windowSeconds: z.number().int().positive().nullable().default(null),
});
export type EvacuationRequest = z.infer<typeof evacuationRequest>;
export type EvacuationRequestInput = z.input<typeof evacuationRequest>;

/** One volume that a plan moves. */
export interface PlannedMove {
  volumeId: string;
  sizeBytes: number;
  attached: boolean;
  source: string;
  destination: string;
}

/** One volume that a plan leaves where it is, and every reason. `passing`: the reason goes away by itself. */
export interface StayingVolume {
  volumeId: string;
  sizeBytes: number;
  source: string;
  reasons: Reason[];
  passing: boolean;
}

/** What a plan does. In `moves` the order is the order of beginning. */
export interface MovePlan {
  moves: PlannedMove[];
  stays: StayingVolume[];
  /** Those that may move, but fit nowhere. */
  homeless: StayingVolume[];
}

/**
 * Where a volume of a plan is. `waiting` → `moving` → `moved` or `failed`. `later`: somebody else holds it just now. `stays`: it cannot
 * move. `gone`: deleted, or moved by somebody else: nothing is left to do.
 */
export const moveState = z.enum(['waiting', 'later', 'moving', 'moved', 'failed', 'stays', 'gone']);
export type MoveState = z.infer<typeof moveState>;

/** How many volumes of a plan are where, and their bytes. */
export interface MoveTally {
  volumes: Record<MoveState, number>;
  bytes: Record<MoveState, number>;
}

export const emptyTally = (): MoveTally => {
  const zeros = () => Object.fromEntries(moveState.options.map((state) => [state, 0])) as Record<MoveState, number>;
  return { volumes: zeros(), bytes: zeros() };
};

/** What a plan came to. `emptied`: no volume of the plan is left where it was. */
export const moveOutcome = z.enum(['emptied', 'incomplete', 'stopped', 'cancelled', 'window-over']);
export type MoveOutcome = z.infer<typeof moveOutcome>;

/** The plan as its workflow tells it (query `movesState`). */
export interface MovesState {
  planId: string;
  source: string;
  paused: boolean;
  cancelRequested: boolean;
  bandwidth: number | null;
  waitingFor: string | null;
  running: { volumeId: string; destination: string }[];
  tally: MoveTally;
}

/** What the workflow answers in the end. */
export interface MovesReport {
  planId: string;
  source: string;
  outcome: MoveOutcome;
  tally: MoveTally;
}

/** What `balanceBackEnds` is started with. */
export const balanceRequest = moveSettings.extend({
  /** Null: every zone by itself. */
  zone: label.min(1).nullable().default(null),
  /** How far apart fill levels may stay; 0.1 is ten percent of a back end's capacity. */
  threshold: z.number().min(0.01).max(1).default(0.1),
});
export type BalanceRequest = z.infer<typeof balanceRequest>;
export type BalanceRequestInput = z.input<typeof balanceRequest>;

/** What `decommissionNode` is started with: an evacuation of a whole node. */
export const decommissionRequest = evacuationRequest.extend({ source: nodeName });

/** What became of a decommissioning. */
export interface DecommissionReport {
  node: string;
  decommissioned: boolean;
  evacuation: MovesReport;
  /** What stands against it, in words. */
  left: string[];
}

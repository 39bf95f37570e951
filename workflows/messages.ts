import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { MovesState } from '../model/evacuation.ts';
import type { MigrationState } from '../model/migration.ts';
import { messages, type CancelMovesPayload, type Resolution, type SteerPayload } from '../model/messages.ts';
import type { OperationVerdict, RefusedOperation, Release } from '../model/operation-requests.ts';

/** The messages of the workflows, as the SDK wants them; names and meaning are in model/messages.ts. */
export const awaitClaim = defineUpdate<{ migrationId: string }>(messages.awaitClaim);
export const awaitBegin = defineUpdate<void>(messages.awaitBegin);
export const cancelMigration = defineUpdate<void>(messages.cancelMigration);
export const pauseMigration = defineUpdate<void>(messages.pauseMigration);
export const resumeMigration = defineUpdate<void>(messages.resumeMigration);
export const setBandwidth = defineUpdate<void, [bytesPerSecond: number | null]>(messages.setBandwidth);
export const resolveParked = defineUpdate<void, [resolution: Resolution]>(messages.resolveParked);
export const progressReported = defineSignal<[unknown]>(messages.progressReported);
export const requestOperation = defineUpdate<OperationVerdict, [ticket: unknown]>(messages.requestOperation);
export const operationRequested = defineSignal<[ticket: unknown]>(messages.operationRequested);
export const whenReleased = defineUpdate<Release, [wait: unknown]>(messages.whenReleased);
export const refusedOperations = defineQuery<readonly RefusedOperation[]>(messages.refusedOperations);
export const migrationState = defineQuery<MigrationState>(messages.migrationState);
export const steerMigration = defineSignal<[steer: SteerPayload]>(messages.steerMigration);

export const keptSourceChanged = defineSignal(messages.keptSourceChanged);
export const moreToCleanUp = defineSignal<[steps: unknown]>(messages.moreToCleanUp);

export const eventsDue = defineSignal(messages.eventsDue);

export const awaitPlan = defineUpdate<{ planId: string }>(messages.awaitPlan);
export const pauseMoves = defineUpdate<void>(messages.pauseMoves);
export const resumeMoves = defineUpdate<void>(messages.resumeMoves);
export const cancelMoves = defineUpdate<void, [how: CancelMovesPayload]>(messages.cancelMoves);
export const setMovesBandwidth = defineUpdate<void, [bytesPerSecond: number | null]>(messages.setMovesBandwidth);
export const movesState = defineQuery<MovesState>(messages.movesState);

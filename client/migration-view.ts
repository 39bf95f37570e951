import { QueryNotRegisteredError, type WorkflowExecutionDescription } from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey, WorkflowNotFoundError } from '@temporalio/common';
import * as z from 'zod';
import { checkpoint, flow, phase, type CopyProgress, type MigrationState } from '../model/migration.ts';
import { messages } from '../model/messages.ts';
import { migrationWorkflowId } from '../model/names.ts';
import { searchAttributes } from '../model/search-attributes.ts';
import { formatBytes } from '../model/sizes.ts';
import type { Temporal } from './temporal.ts';

/** A migration as somebody who watches sees it: its workflow's state with the copy's live position. */
export interface MigrationView extends MigrationState {
  /** What a step that is being tried again failed with last; or why a mirror will not end by itself. */
  trouble: string | null;
}

const copyProgress = z.object({
  checkpoint,
  position: z.number(),
  totalBytes: z.number(),
  bytesPerSecond: z.number(),
  outpaced: z.boolean().optional(),
});

type PendingActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

/** A control worker that does not answer within this time is away: then the server's own knowledge must do. */
const queryMs = 2_000;

/**
 * The migration of the volume (its last one, or the one of that id) as it is now. `running` is false when it has ended. Works while
 * control workers are away. Null when Temporal knows none.
 */
export async function readMigration(
  temporal: Temporal,
  volumeId: string,
  migrationId?: string,
): Promise<{ running: boolean; view: MigrationView } | null> {
  const workflowId = migrationWorkflowId(volumeId);
  const [description, state] = await Promise.all([
    temporal.call((client) => client.workflow.getHandle(workflowId, migrationId).describe()).catch(nullIfNone),
    temporal
      .call(
        (client) => client.workflow.getHandle(workflowId, migrationId).query<MigrationState>(messages.migrationState),
        { deadlineMs: queryMs },
      )
      .catch(() => null),
  ]);
  if (!description) return null;
  const running = description.status.name === 'RUNNING';
  return { running, view: viewOf(volumeId, description, state) };
}

function nullIfNone(error: unknown): null {
  if (error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError) return null;
  throw error;
}

/** Puts together what the workflow says of itself and what the server knows of its pending steps. */
export function viewOf(
  volumeId: string,
  description: WorkflowExecutionDescription,
  state: MigrationState | null,
): MigrationView {
  const base = state?.migrationId === description.runId ? state : stateFromServer(volumeId, description);
  const pending = description.raw.pendingActivities ?? [];
  // Of several that run at once the one that has the longest way to go.
  const [live] = pending
    .flatMap((p) => decodeProgress(p.heartbeatDetails?.payloads) ?? [])
    .toSorted((a, b) => a.position - b.position);
  const failing = pending.find((p) => (p.attempt ?? 1) > 1 && p.lastFailure?.message);
  return {
    ...base,
    ...(live && {
      bytesDone: live.position,
      totalBytes: live.totalBytes,
      bytesPerSecond: live.bytesPerSecond,
      zeroedBytes: live.checkpoint.zeroedBytes ?? null,
    }),
    trouble: failing ? failureOf(failing) : live?.outpaced ? outpacedBy(base) : null,
  };
}

function failureOf({ activityType, attempt, lastFailure }: PendingActivity): string {
  return `${activityType?.name ?? 'a step'}, try ${attempt}: ${lastFailure?.message}`;
}

/** Why a mirror does not end, and what helps. */
function outpacedBy({ volumeId, bandwidth }: MigrationState): string {
  const why = 'the guest writes as fast as its disk is mirrored, so this does not end';
  return bandwidth === null
    ? `${why}: let it write less, or give the way to the destination more room`
    : `${why} with a cap of ${formatBytes(bandwidth)}/s; raise it: ferry migration set-bandwidth ${volumeId} <rate>`;
}

/** The last beat of a copying activity; null for other activities. */
function decodeProgress(
  payloads: readonly Parameters<typeof defaultPayloadConverter.fromPayload>[0][] | null | undefined,
): CopyProgress | null {
  const [payload] = payloads ?? [];
  if (!payload) return null;
  const parsed = copyProgress.safeParse(defaultPayloadConverter.fromPayload(payload));
  return parsed.success ? parsed.data : null;
}

/** Without the workflow's own word: what it left in search attributes and memo. */
function stateFromServer(volumeId: string, description: WorkflowExecutionDescription): MigrationState {
  const attribute = (name: string) => description.typedSearchAttributes.get(defineSearchAttributeKey(name, 'KEYWORD'));
  const size = z.number().safeParse(description.memo?.['sizeBytes']);
  return {
    migrationId: description.runId,
    volumeId,
    source: attribute(searchAttributes.source) ?? null,
    destination: attribute(searchAttributes.destination) ?? '?',
    flow: flow.safeParse(attribute(searchAttributes.flow)).data ?? null,
    phase: phase.safeParse(attribute(searchAttributes.phase)).data ?? 'claiming',
    paused: false,
    bandwidth: null,
    verify: null,
    totalBytes: size.data ?? 0,
    bytesDone: 0,
    bytesPerSecond: 0,
    zeroedBytes: null,
    waitingFor: description.status.name === 'RUNNING' ? 'a control worker' : null,
    cancelRequested: false,
    refusedOperations: 0,
  };
}

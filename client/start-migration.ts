import { randomUUID } from 'node:crypto';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { FerryError } from '../model/errors.ts';
import { messages } from '../model/messages.ts';
import { migrationPlan, progressText } from '../model/migration-details.ts';
import { migrationRequest, type MigrationRequestInput } from '../model/migration.ts';
import { controlQueue, migrationWorkflowId } from '../model/names.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { readMigration } from './migration-view.ts';
import { parseInput } from './parse-input.ts';
import type { Temporal } from './temporal.ts';
import { withdraw } from './withdraw.ts';

/** A claim takes milliseconds; this is for a control worker that is busy or is being restarted. */
const claimMs = 15_000;

/**
 * Starts a migration and answers when its claim is decided: it goes on by itself from there. Refused with every reason at once
 * (`MigrationRefused`, or the one reason), with `VolumeMigrating` when one runs already. An error means that nothing moves.
 */
export async function startMigration(context: Context, input: MigrationRequestInput): Promise<{ migrationId: string }> {
  const request = parseInput(migrationRequest, {
    requestedBy: context.identity.name,
    nodeTimeoutSeconds: context.configuration.nodeTimeoutSeconds,
    ...input,
  });
  const temporal = await context.temporal();
  await waitForControlWorker(temporal);
  const workflowId = migrationWorkflowId(request.volumeId);
  const requestId = randomUUID();
  const startWorkflowOperation = new WithStartWorkflowOperation('migrateVolume', {
    workflowId,
    taskQueue: controlQueue,
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    memo: { requestId },
    staticSummary: `volume ${request.volumeId} to ${request.destination}${request.newType === null ? '' : `, type ${request.newType}`}`,
    staticDetails: migrationPlan(request),
    args: [request],
  });
  try {
    return await temporal.call(
      (client) =>
        client.workflow.executeUpdateWithStart<() => Promise<unknown>, { migrationId: string }, []>(
          messages.awaitClaim,
          {
            startWorkflowOperation,
          },
        ),
      { deadlineMs: claimMs },
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw await alreadyMigrating(temporal, request.volumeId);
    if (error instanceof FerryError && error.type === 'ServiceUnreachable')
      await withdraw(temporal, workflowId, requestId);
    throw error;
  }
}

async function alreadyMigrating(temporal: Temporal, volumeId: string): Promise<FerryError> {
  const running = await readMigration(temporal, volumeId).catch(() => null);
  const view = running?.view;
  const how = view ? ` to ${view.destination} (${`${view.phase} ${progressText(view)}`.trim()})` : '';
  return new FerryError(
    'VolumeMigrating',
    `Volume ${volumeId} is already migrating${how}.\nWatch it:  ferry migration watch ${volumeId}\nCancel it: ferry migration cancel ${volumeId}`,
    view
      ? {
          migrationId: view.migrationId,
          phase: view.phase,
          destination: view.destination,
          bytesDone: view.bytesDone,
          totalBytes: view.totalBytes,
        }
      : {},
  );
}

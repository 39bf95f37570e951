import { setTimeout } from 'node:timers/promises';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { FerryError } from '../model/errors.ts';
import { progressText } from '../model/migration-details.ts';
import { controlQueue, operationWorkflowId } from '../model/names.ts';
import { beginWorkflow } from './begin-workflow.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { movingForTenant } from './for-tenant.ts';
import { isAdmin } from './identity.ts';
import { readMigration } from './migration-view.ts';
import { workflowResult } from './workflow-result.ts';

/** An operation as its workflow knows it. */
export interface Operation {
  workflow: string;
  /** What it is called in ids and for people, e.g. `extend`. */
  name: string;
  /** What it is about: one of the kind runs at a time for it. A volume's id, or a back end. */
  subject: string;
  summary: string;
  input: object;
  /** Its answer is what is wanted of it: whoever asks waits for its end, also where else a beginning is answered. */
  isAwaited?: boolean;
}

/**
 * Runs an operation and answers when it is done; or, where the context says so, when it has begun: then null. Throws what it ended
 * with: refused by the registry, or failed on the device. It goes on without its caller; asked for again while it runs: `VolumeBusy`.
 */
export async function runOperation<Result>(context: Context, operation: Operation): Promise<Result | null> {
  const { workflow, name, subject, summary, input, isAwaited = false } = operation;
  const workflowId = operationWorkflowId(name, subject);
  const temporal = await context.temporal();
  await waitForControlWorker(temporal);
  try {
    if (context.answers === 'when begun' && !isAwaited)
      return await afterOneThatEnds(() => beginWorkflow<Result>(temporal, { workflow, workflowId, summary, input }));
    const handle = await temporal.call((client) =>
      client.workflow.start<(input: object) => Promise<Result>>(workflow, {
        taskQueue: controlQueue,
        workflowId,
        workflowIdConflictPolicy: 'FAIL',
        staticSummary: summary,
        args: [input],
      }),
    );
    return await workflowResult(temporal, handle);
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      throw new FerryError('VolumeBusy', `${name} of ${subject} is under way already. Try again when it is done.`, {
        operation: name,
      });
    }
    throw await explained(context, error, name);
  }
}

/** How long one that has written its end may take until its workflow is closed. Milliseconds. */
const closingMs = 2_000;

/**
 * Who waits for an end by what the registry shows sees it before the workflow is closed, and begins the next one at once: that is no second
 * one at the same time. What still runs after a moment is.
 */
async function afterOneThatEnds<T>(begin: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + closingMs;
  for (;;) {
    try {
      return await begin();
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError) || Date.now() > deadline) throw error;
      await setTimeout(100);
    }
  }
}

/** A refusal because of a migration, with how far that is. Tenants hear that they must wait, not what is done with their volume. */
export async function explained(context: Context, error: unknown, name: string): Promise<unknown> {
  if (!(error instanceof FerryError) || error.type !== 'VolumeMigrating') return error;
  if (!isAdmin(context.identity)) {
    const { type, message, details } = movingForTenant(error, name);
    return new FerryError(type, message, details);
  }
  const volumeId = String(error.details['volumeId']);
  const running = await context
    .temporal()
    .then((temporal) => readMigration(temporal, volumeId))
    .catch(() => null);
  if (!running?.running) return error;
  const { phase, bytesDone, totalBytes, bytesPerSecond, destination } = running.view;
  const progress = progressText(running.view);
  const details = { ...error.details, phase, destination, progress: { bytesDone, totalBytes, bytesPerSecond } };
  const message = progress === '' ? error.message : `${error.message}\nIt is ${phase}: ${progress}.`;
  return new FerryError(error.type, message, details, { cause: error });
}

// A service that attaches a volume, also when the volume is moving at the moment: it asks, is refused, waits for the end of the
// migration, and attaches the volume where it is then. It knows Temporal's client and nothing of Ferry's code.
//
//   TEMPORAL_ADDRESS=localhost:7233 node attach-service.ts VOLUME INSTANCE COMPUTE_HOST
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure, WorkflowNotFoundError } from '@temporalio/common';

interface Release {
  released: boolean;
  host: string | null;
}

const [volumeId, instanceId, computeHost] = process.argv.slice(2);
if (!volumeId || !instanceId || !computeHost) throw new Error('usage: attach-service.ts VOLUME INSTANCE COMPUTE_HOST');

const connection = await Connection.connect({ address: process.env['TEMPORAL_ADDRESS'] ?? 'localhost:7233' });
const client = new Client({ connection });
const migration = client.workflow.getHandle(`migrate-${volumeId}`);
const requestId = randomUUID();
try {
  // Asking is a courtesy that gives a good message; the attach itself is what decides, so it is tried until it is not refused.
  for (;;) {
    const refusal = (await ask()) ?? (await attach());
    if (!refusal) break;
    console.log(`refused: ${refusal.message}`);
    await waitForTheEnd(retryAfterOf(refusal));
  }
} finally {
  await connection.close();
}

/** What the migration says; null when it does not mind, or there is none. */
async function ask(): Promise<ApplicationFailure | null> {
  const ticket = { requestId, operation: 'attach', volumeId, requestedBy: 'attach-service' };
  try {
    await migration.executeUpdate('requestOperation', { args: [ticket] });
    return null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    return refusalOf(error);
  }
}

/** Attaches the volume, wherever it is; the refusal when it moves. */
async function attach(): Promise<ApplicationFailure | null> {
  try {
    const { connection: reached } = await client.workflow.execute<
      (input: unknown) => Promise<{ connection: { backEnd: string } }>
    >('attachVolume', {
      taskQueue: 'control',
      workflowId: `attach-${volumeId}`,
      args: [{ volumeId, attachmentId: requestId, instanceId, computeHost }],
    });
    console.log(`attached: ${JSON.stringify(reached)}`);
    return null;
  } catch (error) {
    return refusalOf(error);
  }
}

/** The typed refusal `VolumeMigrating`; every other error is thrown. */
function refusalOf(error: unknown): ApplicationFailure {
  let cause = error instanceof WorkflowUpdateFailedError || error instanceof WorkflowFailedError ? error.cause : error;
  if (cause instanceof ActivityFailure) cause = cause.cause;
  if (cause instanceof ApplicationFailure && cause.type === 'VolumeMigrating') return cause;
  throw error;
}

function retryAfterOf(refusal: ApplicationFailure): number {
  const details = refusal.details?.[0] as { retryAfter?: number } | undefined;
  return details?.retryAfter ?? 2;
}

/** Returns at the end of the migration, or after a while: then it is asked again. */
async function waitForTheEnd(retryAfter: number): Promise<void> {
  try {
    const { released, host } = await migration.executeUpdate<Release, [unknown]>('whenReleased', {
      args: [{ waitSeconds: 300 }],
    });
    if (released) console.log(`released: the volume is on ${host}`);
  } catch {
    // It has ended in this moment, or enough others wait.
    await sleep(retryAfter * 1000);
  }
}

import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { messages } from '../model/messages.ts';

/** Tells a migration's workflow where its transfer is. Never throws: progress is news, not truth. */
export async function reportProgress(
  client: Client,
  { workflowId, runId }: { workflowId: string; runId: string },
  progress: { bytesDone: number; bytesPerSecond: number; zeroedBytes?: number | undefined },
  log: Logger,
): Promise<void> {
  await client.workflow
    .getHandle(workflowId, runId)
    .signal(messages.progressReported, progress)
    .catch((error: unknown) => log.debug({ error }, 'progress could not be reported'));
}

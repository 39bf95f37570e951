import { FerryError } from '../../../model/errors.ts';
import type { CopierCommand, CopierMessage, Job } from '../copy-job.ts';
import { compare } from './compare.ts';
import { copy } from './copy.ts';
import { digest } from './digest.ts';
import { unmap } from './unmap.ts';

// The process that carries the bytes of one job. It is started by `createCopier` with a channel to its worker.

const performers = { compare, copy, digest, unmap };

const stop = new AbortController();

// Without its worker nobody may be told how far it is, and another attempt is about to start: nothing more may be written,
// so not even an orderly exit.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

/** Resolves with the worker's word that the destination is still the one to write to. */
const confirmed = Promise.withResolvers<void>();

process.on('message', (command: CopierCommand) => {
  if (command.type === 'stop') stop.abort();
  else if (command.type === 'confirmed') confirmed.resolve();
  else void perform(command.job);
});

function tell(message: CopierMessage): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}

async function perform(job: Job): Promise<void> {
  const options = {
    signal: stop.signal,
    onProgress: (checkpoint: Job['from'], position: number) => void tell({ type: 'progress', checkpoint, position }),
    confirm: async () => {
      await tell({ type: 'locked' });
      await confirmed.promise;
    },
  };
  try {
    const result = await performers[job.kind](job as never, options);
    await tell({ type: 'stopped', ...result });
  } catch (error) {
    await tell({ type: 'failed', error: described(error) });
  }
  process.exit();
}

function described(error: unknown): (CopierMessage & { type: 'failed' })['error'] {
  if (error instanceof FerryError) return { type: error.type, message: error.message, details: error.details };
  const stack = error instanceof Error ? error.stack : String(error);
  return {
    type: 'ToolFailed',
    message: `The copier failed: ${error instanceof Error ? error.message : stack}`,
    details: { stack },
  };
}

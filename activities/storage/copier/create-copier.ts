import { FerryError } from '../../../model/errors.ts';
import type { Checkpoint } from '../../../model/migration.ts';
import type { Copier, CopierMessage } from '../copy-job.ts';
import { startChild, type CopierChild } from './child.ts';

/**
 * How long a process may take to stop, or to end after it has told its result, before it is killed: a cancel must hold within two
 * seconds whatever hangs, and Node itself was seen to hang in its exit.
 */
const endPatience = 1500;

/** Processes that wait for a job: a migration's copy and the reading back that follows at once. */
const spares = 2;

/** A worker that has just begun to copy has better to do at once than to start the next process. */
const spareDelay = 500;

/** A copier, and the end of it: its waiting processes are ended, running jobs are not. */
export interface DisposableCopier extends Copier {
  dispose(): Promise<void>;
}

export interface CopierOptions {
  /** Where Node keeps what it has compiled of the processes; not given: where it keeps that of this process, if anywhere. */
  readonly compileCache?: string | undefined;
  /** For tests. */
  readonly program?: string;
}

/** Runs each job in a process of its own, and keeps some waiting, so that a job does not wait for Node to start. */
export function createCopier({
  compileCache = process.env['NODE_COMPILE_CACHE'],
  program,
}: CopierOptions = {}): DisposableCopier {
  const waiting: CopierChild[] = [];
  let disposed = false;

  const fill = () => {
    if (disposed) return;
    const alive = waiting.filter((child) => child.alive);
    waiting.splice(0, Infinity, ...alive);
    while (waiting.length < spares) {
      const child = startChild(compileCache, program);
      child.hold(false);
      waiting.push(child);
    }
  };
  const takeChild = () => {
    let child = waiting.shift();
    while (child && !child.alive) child = waiting.shift();
    child ??= startChild(compileCache, program);
    child.hold(true);
    setTimeout(fill, spareDelay).unref();
    return child;
  };
  fill();

  return {
    async run(job, { signal, onProgress, confirm }) {
      let checkpoint = job.from;
      if (signal.aborted) return { checkpoint, finished: false };
      let last: CopierMessage | null = null;
      let killer: NodeJS.Timeout | undefined;
      const child = takeChild();
      const killSoon = () => {
        clearTimeout(killer);
        killer = setTimeout(() => child.kill(), endPatience);
      };
      const stop = () => {
        child.tell({ type: 'stop' });
        killSoon();
      };
      signal.addEventListener('abort', stop, { once: true });
      let refused: unknown = null;
      const answer = async () => {
        try {
          await confirm?.();
          child.tell({ type: 'confirmed' });
        } catch (error) {
          refused = error;
          child.kill();
        }
      };
      child.onMessage((message) => {
        if (message.type === 'locked') return void answer();
        last = message;
        // Everything is flushed and closed by then.
        if (message.type !== 'progress') killSoon();
        if (message.type === 'failed') return;
        checkpoint = message.checkpoint;
        if (message.type === 'progress') onProgress(checkpoint, message.position);
      });
      child.tell({ type: 'start', job });
      const end = await child.ended;
      const denial: unknown = refused;
      signal.removeEventListener('abort', stop);
      clearTimeout(killer);
      if (denial) throw denial;
      return outcome(last, { checkpoint, aborted: signal.aborted, end });
    },

    async dispose() {
      disposed = true;
      await Promise.all(
        waiting.splice(0).map((child) => {
          // Held, as nothing else may keep the process until it has ended.
          child.hold(true);
          child.kill();
          return child.ended;
        }),
      );
    },
  };
}

interface Ending {
  readonly checkpoint: Checkpoint;
  readonly aborted: boolean;
  readonly end: Awaited<CopierChild['ended']>;
}

function outcome(
  last: CopierMessage | null,
  { checkpoint, aborted, end }: Ending,
): { checkpoint: Checkpoint; finished: boolean } {
  if (last?.type === 'stopped') return { checkpoint: last.checkpoint, finished: last.finished };
  if (last?.type === 'failed') throw new FerryError(last.error.type, last.error.message, last.error.details);
  // Killed for not stopping in time: the last flushed position it told is where it is.
  if (aborted) return { checkpoint, finished: false };
  const how = end.signal ? `was killed by ${end.signal}` : `ended with code ${end.code}`;
  throw new FerryError(
    'ToolFailed',
    `The copier process ${how} before its job was done; it can go on from its last checkpoint`,
    { ...end },
  );
}

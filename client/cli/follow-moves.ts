import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import type { MovesReport } from '../../model/evacuation.ts';
import type { MovesView } from '../moves.ts';
import { exitCodes } from './exit-codes.ts';
import { detachOnInterrupt } from './detach-on-interrupt.ts';
import { movesDisplay } from './moves-display.ts';
import { endOfMoves } from './moves-text.ts';
import type { Session } from './session.ts';

const everyMs = 500;

/** Services that are being restarted are back by then. */
const patienceMs = 60_000;

/**
 * Shows an evacuation or balancing until it ends, then what it came to; a bad end sets the exit code. Ctrl-C detaches: it goes on.
 * `source` names it as the steering commands do.
 */
export async function followMoves(session: Session, planId: string, source: string): Promise<void> {
  const { ferry, json, answer } = session;
  detachOnInterrupt(
    `Detached; it goes on.\nWatch it:  ferry evacuation watch ${source}\nCancel it: ferry evacuation cancel ${source}`,
  );
  const display = json ? null : movesDisplay(process.stderr);
  let awaySince: number | null = null;
  try {
    for (;;) {
      const view = await ferry.findMoves(planId).catch((error: unknown) => {
        if (!(error instanceof FerryError) || error.type !== 'ServiceUnreachable') throw error;
        awaySince ??= Date.now();
        if (Date.now() - awaySince > patienceMs) throw error;
        return null;
      });
      if (view) {
        awaySince = null;
        if (view.interrupted) throw interrupted(source);
        if (view.plan.outcome !== null) {
          display?.end();
          return await tellEnd(session, view);
        }
        display?.show(view);
        if (json) answer(view, '');
      }
      await sleep(everyMs);
    }
  } finally {
    display?.end();
  }
}

/** What it came to, and each volume that is still where it was. */
export async function tellEnd({ ferry, answer }: Pick<Session, 'ferry' | 'answer'>, view: MovesView): Promise<void> {
  const { plan, tally } = view;
  const left = await ferry.listMoves(plan.id, ['failed', 'stays', 'later', 'waiting', 'moving']);
  const report: MovesReport = { planId: plan.id, source: plan.source, outcome: plan.outcome!, tally };
  answer({ ...report, left }, endOfMoves(report, left));
  if (plan.outcome !== 'emptied') process.exitCode = exitCodes.refusedOrFailed;
}

function interrupted(source: string): FerryError {
  return new FerryError(
    'Terminated',
    `The workflow was ended from outside; migrations that it began go on by themselves. Start again: ferry host evacuate ${source}`,
  );
}

import { allHandlersFinished, condition, workflowInfo } from '@temporalio/workflow';
import type { MoveOutcome, MoveTally } from '../../model/evacuation.ts';
import { moves } from '../activities.ts';
import type { MovesRun, Resumed } from './moves-run.ts';

/** A move is four to fifteen events of its parent's history; far below Temporal's limit of 51,200, and replayed in a moment. */
const longHistory = 500;

/** How long volumes that somebody else holds are waited for between two looks; doubles up to the second figure. Seconds. */
const firstLook = 2;
const longestLook = 30;

/**
 * Moves the volumes of a written plan, as many at once as its limits allow, and writes how each ended. When none is left, `replan`
 * looks again: for volumes that came meanwhile, and those that somebody else held. `restart` goes on in a new run when the history
 * has become long; the migrations go on meanwhile.
 */
export async function carryOutMoves(
  run: MovesRun,
  replan: (() => Promise<MoveTally>) | null,
  restart: (resumed: Resumed) => Promise<never>,
): Promise<MoveOutcome> {
  const { planId } = run.state;
  const { limits, onFailure } = run.settings;
  const later = new Patience(run.settings.nodeTimeoutSeconds);
  for (;;) {
    run.disturbed = false;
    const ended = run.takeEnded();
    const { moves: next, tally } = await moves.advancePlan.executeWithOptions(
      { summary: `write ${ended.length} ended, take what may begin` },
      [{ planId, ended, running: run.running, limits, begin: run.mayBegin, stopOnFailure: onFailure === 'stop' }],
    );
    await run.tallied(tally);
    if (onFailure === 'stop' && tally.volumes.failed > 0) run.stop('stopped');
    await Promise.all(next.map((move) => run.begin(move)));
    run.show();
    // Looked at in every round: on a busy system there is always a move that has just ended.
    if (
      run.running.length > 0 &&
      (workflowInfo().historyLength > longHistory || workflowInfo().continueAsNewSuggested)
    ) {
      await condition(allHandlersFinished);
      return restart(run.resumed());
    }
    if (run.ended.length > 0) continue;
    if (run.running.length === 0) {
      if (run.stopping) return run.stopping;
      if (!run.state.paused) {
        const left = replan ? await replan() : tally;
        await run.tallied(left);
        if (left.volumes.waiting > 0 && run.mayBegin) continue;
        if (replan && left.volumes.later > 0 && (await later.wait(run, left))) continue;
        if (run.mayBegin) return outcomeOf(left);
        continue;
      }
    }
    await condition(() => run.disturbed);
  }
}

function outcomeOf({ volumes }: MoveTally): MoveOutcome {
  return volumes.waiting + volumes.later + volumes.failed + volumes.stays + volumes.moving === 0
    ? 'emptied'
    : 'incomplete';
}

/** The wait for volumes that somebody else holds: given up when nothing of the plan has changed for so long. */
class Patience {
  readonly #seconds: number;
  #since: number | null = null;
  #seen = '';
  #look = firstLook;

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** False when it is over. */
  async wait(run: MovesRun, tally: MoveTally): Promise<boolean> {
    const seen = JSON.stringify(tally);
    if (seen !== this.#seen || this.#since === null) {
      this.#seen = seen;
      this.#since = Date.now();
      this.#look = firstLook;
    }
    if (Date.now() - this.#since >= this.#seconds * 1000) return false;
    run.waitFor(`${tally.volumes.later} volumes that somebody else holds`);
    run.disturbed = false;
    await condition(() => run.disturbed, `${this.#look}s`);
    this.#look = Math.min(this.#look * 2, longestLook);
    run.waitFor(null);
    return true;
  }
}

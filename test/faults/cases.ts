import type { Expected } from '../end-to-end/checker.ts';
import type { Fault } from './orders.ts';

/** The steps of a flow in the order in which they begin: of a migration that succeeds, and of one that goes back. */
export interface Path {
  readonly flow: string;
  readonly forward: readonly string[];
  readonly back: readonly string[];
}

export interface Case {
  readonly flow: string;
  readonly step: string;
  readonly fault: Fault;
  /** The migration was on its way back before. */
  readonly goesBack: boolean;
  readonly end: End;
}

/** Where the volume is in the end, and what the record says of its last migration; null: there is none. */
export interface End {
  readonly side: 'source' | 'destination';
  readonly outcome: NonNullable<Expected['outcome']>;
}

/** The point of no return. */
const theSwitch = 'switchVolume';

/** The one end that a fault at a step may have. */
export function endOf(path: Path, step: string, fault: Fault, goesBack: boolean): End {
  if (goesBack) return { side: 'source', outcome: outcomeOfGoingBack(step, fault) };
  const [at, pointOfNoReturn] = [path.forward.indexOf(step), path.forward.indexOf(theSwitch)];
  // What happens at the switch itself counts as before it, unless it is after its effect.
  const isPast = at > pointOfNoReturn || (at === pointOfNoReturn && fault.includes('after its effect'));
  const moved: End = { side: 'destination', outcome: 'success' };
  if (fault.startsWith('cancel') || fault.startsWith('pause'))
    return at >= pointOfNoReturn ? moved : { side: 'source', outcome: 'cancelled' };
  if (fault.startsWith('terminated')) {
    if (isPast) return moved;
    // The claim may never have been made.
    return { side: 'source', outcome: step === 'claimVolume' ? [null, 'error'] : 'error' };
  }
  if (fault === 'non-retryable error' || fault === 'its worker never comes back') {
    if (isPast) return moved;
    return { side: 'source', outcome: step === 'claimVolume' ? [null] : 'error' };
  }
  return moved;
}

function outcomeOfGoingBack(step: string, fault: Fault): string {
  const isRelease = step.startsWith('releaseVolume');
  if (fault.startsWith('terminated')) return isRelease && fault.includes('after its effect') ? 'cancelled' : 'error';
  // Its workflow fails with the volume claimed, and the repair takes it back.
  if (fault === 'non-retryable error' && (isRelease || step.startsWith('enterPhase'))) return 'error';
  return 'cancelled';
}

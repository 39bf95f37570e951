import type { Expected } from '../end-to-end/checker.ts';
import type { Fault } from './orders.ts';

/** How a migration comes to a step: it succeeds; it was cancelled before; it is paused. */
export type Way = 'forward' | 'back' | 'paused';

/** The steps of a flow in the order in which they begin; of the ways back and of a pause only those that are on no other. */
export interface Path extends Readonly<Record<Way, readonly string[]>> {
  readonly flow: string;
}

export interface Case {
  readonly flow: string;
  readonly step: string;
  readonly fault: Fault;
  readonly way: Way;
  readonly end: End;
}

/** Where the volume is in the end, and what the record says of its last migration; null: there is none. */
export interface End {
  readonly side: 'source' | 'destination';
  readonly outcome: NonNullable<Expected['outcome']>;
  /** An operator must be asked which side the guest writes to. */
  readonly isAsked: boolean;
}

/** The point of no return. `closed`: from here on a cancel is refused. */
function noReturnOf({ forward }: Path): { turn: number; closed: number } {
  const theSwitch = forward.indexOf('switchVolume');
  const thePivot = forward.indexOf('pivotDisk');
  // Of an attached volume the guest's turn is it; the registry only follows. It is begun with its record.
  return thePivot === -1
    ? { turn: theSwitch, closed: theSwitch }
    : { turn: thePivot, closed: forward.indexOf('enterPhase:switching') };
}

/** The one end that a fault at a step may have. */
export function endOf(path: Path, step: string, fault: Fault, way: Way): End {
  const isAsked = fault === 'non-retryable error' && (step === 'pivotDisk' || step === 'abortMirror');
  if (way === 'back') return { side: 'source', outcome: outcomeOfGoingBack(step, fault), isAsked };
  // A pause comes before the point of no return: its steps are not on the way forward.
  const at = path.forward.indexOf(step);
  const isBeforeClaim = at < path.forward.indexOf('claimVolume');
  const { turn, closed } = noReturnOf(path);
  // What happens at the turn itself counts as before it, unless it is after its effect.
  const isPast = at > turn || (at === turn && fault.includes('after its effect'));
  const moved: End = { side: 'destination', outcome: 'success', isAsked };
  if (fault.startsWith('cancel') || fault.startsWith('pause'))
    return at >= closed ? moved : { side: 'source', outcome: 'cancelled', isAsked };
  if (fault.startsWith('terminated')) {
    if (isPast) return moved;
    // The claim may never have been made.
    return { side: 'source', outcome: isBeforeClaim || step === 'claimVolume' ? [null, 'error'] : 'error', isAsked };
  }
  // The guest may have been turned just before nothing was heard any more: that is waited for.
  if (fault === 'its worker never comes back' && step === 'pivotDisk') return moved;
  // The nodes are asked before the claim: what they refuse then leaves no record. Who is away decides nothing yet.
  if (fault === 'non-retryable error' && isBeforeClaim) return { side: 'source', outcome: [null], isAsked };
  if (fault === 'non-retryable error' || fault === 'its worker never comes back') {
    if (isPast) return moved;
    return { side: 'source', outcome: step === 'claimVolume' ? [null] : 'error', isAsked };
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

/** Every step of the flow with each of these faults. */
export function casesOf(path: Path, which: readonly Fault[]): Case[] {
  const ways: readonly Way[] = ['forward', 'back', 'paused'];
  return ways.flatMap((way) =>
    path[way].flatMap((step) =>
      which.map((fault) => ({ flow: path.flow, step, fault, way, end: endOf(path, step, fault, way) })),
    ),
  );
}

/** Every so many steps one fault, each in its turn. */
export function sampleOf(path: Path, which: readonly Fault[], everyNthStep: number): Case[] {
  return casesOf(path, which).filter((_, n) => {
    const step = Math.floor(n / which.length);
    return step % everyNthStep === 0 && n % which.length === (step / everyNthStep) % which.length;
  });
}

export function nameOf({ flow, way, step, fault }: Case): string {
  const how = { forward: '', back: 'going back, ', paused: 'paused, ' };
  return `${flow}: ${how[way]}${step}: ${fault}`;
}

export const lasting: Fault = 'its worker never comes back';

import { FerryError } from '../../model/errors.ts';
import type { Operation } from '../../registry/operation-rules.ts';
import { registryInputs } from '../inputs/registry.ts';
import type { RegistryActivities } from '../registry/create-registry-activities.ts';
import { runOf, type Run } from './owner-run.ts';

/** The step by which each operation ends well. A change of the type alone ends with its beginning. */
const lastSteps = {
  create: 'finishCreate',
  delete: 'finishDelete',
  extend: 'finishExtend',
  attach: 'finishAttach',
  detach: 'finishDetach',
  snapshot: 'finishSnapshot',
  'delete-snapshot': 'finishSnapshotDelete',
  revert: 'finishRevert',
  'manage-snapshot': 'finishSnapshotManage',
  'unmanage-snapshot': 'finishSnapshotUnmanage',
  manage: 'finishManage',
  unmanage: 'finishUnmanage',
} as const satisfies Record<Exclude<Operation, 'retype'>, keyof RegistryActivities>;

/** The steps that write that an operation has ended well. Each may be repeated by its owner, and changes nothing that is another's. */
export type LastSteps = Pick<RegistryActivities, (typeof lastSteps)[keyof typeof lastSteps]>;

/** What a run that has come to its own end, and that was no failure, told that step when it did it; null: another end, no such step, or not known to Temporal. */
export type ToldToLastStep = (run: Run, step: string) => Promise<unknown>;

interface Ended {
  step: keyof LastSteps;
  input: unknown;
}

async function endOf(of: { operation: string; owner: string }, toldTo: ToldToLastStep): Promise<Ended | null> {
  const run = runOf(of.owner);
  if (!run || !Object.hasOwn(lastSteps, of.operation)) return null;
  const step = lastSteps[of.operation as keyof typeof lastSteps];
  const input = registryInputs[step].safeParse(await toldTo(run, step));
  return input.success && input.data.owner === of.owner ? { step, input: input.data } : null;
}

/** Whether an operation has ended well by Temporal's history. */
export async function endedWell(of: { operation: string; owner: string }, toldTo: ToldToLastStep): Promise<boolean> {
  return (await endOf(of, toldTo)) !== null;
}

/**
 * Writes once more what an operation's workflow wrote last: the registry has lost it. Whoever asks does not say what: it is read from the
 * history of the run that holds the volume. `Fenced` when another one does by now. May be repeated.
 */
export async function repeatEnd(
  of: { operation: string; owner: string; volumeId: string },
  toldTo: ToldToLastStep,
  steps: LastSteps,
): Promise<void> {
  const end = await endOf(of, toldTo);
  if (!end)
    throw new FerryError('Fenced', `Of the ${of.operation} of volume ${of.volumeId} no good end is on record.`, {
      ...of,
    });
  await (steps[end.step] as (input: unknown) => Promise<unknown>)(end.input);
}

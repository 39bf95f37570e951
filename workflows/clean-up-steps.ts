import { CancellationScope } from '@temporalio/workflow';
import { nodeOf } from '../model/ids.ts';
import { storageSteps } from './activities.ts';

/**
 * One thing to take away after a migration, on either side of the switch, or after an operation that came to nothing. Data, not closures: what cannot be done now (the
 * node is away) is handed to the `cleanUp` workflow. Each may be repeated and finds its thing already gone.
 */
export type CleanUpStep =
  | { kind: 'removeExport'; backEnd: string; exportName: string }
  | { kind: 'deleteDestination'; backEnd: string; deviceName: string; migrationId: string }
  | { kind: 'retireSource'; backEnd: string; deviceName: string; volumeId: string; exportName: string }
  | {
      kind: 'keepSource';
      backEnd: string;
      deviceName: string;
      volumeId: string;
      exportName: string;
      migrationId: string;
    }
  | { kind: 'settleDestination'; backEnd: string; deviceName: string; migrationId: string; keptBy?: string }
  /** The device of a volume that never came to be, under whichever name; `name` is the one to give it, if that is known. */
  | { kind: 'disownVolume'; backEnd: string; volumeId: string; name: string | null };

/** The same steps for a migration whose source is kept: it loses its export, not itself. */
export function keepingSource(steps: readonly CleanUpStep[], migrationId: string): CleanUpStep[] {
  return steps.map((step) => (step.kind === 'retireSource' ? { ...step, kind: 'keepSource', migrationId } : step));
}

/** Whether a step that failed so has nothing to do any more. */
export type IsOver = (step: CleanUpStep, error: unknown) => Promise<boolean>;

/** Runs one step; tries for `patienceSeconds` in all. */
export async function runCleanUpStep(step: CleanUpStep, patienceSeconds: number): Promise<void> {
  const node = storageSteps(nodeOf(step.backEnd), patienceSeconds);
  const summary = { summary: describe(step) };
  switch (step.kind) {
    case 'removeExport':
      return node.removeExport.executeWithOptions(summary, [step]);
    case 'deleteDestination':
      return node.deleteDestination.executeWithOptions(summary, [step]);
    case 'retireSource':
      return node.retireSource.executeWithOptions(summary, [step]);
    case 'keepSource':
      return node.keepSource.executeWithOptions(summary, [step]);
    case 'settleDestination':
      return node.settleDestination.executeWithOptions(summary, [step]);
    case 'disownVolume':
      return node.disownVolume.executeWithOptions(summary, [step]);
  }
}

/**
 * Runs the steps in order, whatever happens to the workflow meanwhile; steps of one node wait for each other, the nodes do
 * not. Returns what could not be done in time, in order.
 */
export async function runCleanUp(
  steps: readonly CleanUpStep[],
  patienceSeconds: number,
  isOver: IsOver = async () => false,
): Promise<CleanUpStep[]> {
  const byNode = Map.groupBy(steps, (step) => nodeOf(step.backEnd));
  const left = await CancellationScope.nonCancellable(() =>
    Promise.all([...byNode.values()].map((own) => runInOrder(own, patienceSeconds, isOver))),
  );
  return left.flat();
}

async function runInOrder(
  steps: readonly CleanUpStep[],
  patienceSeconds: number,
  isOver: IsOver,
): Promise<CleanUpStep[]> {
  for (const [done, step] of steps.entries()) {
    try {
      await runCleanUpStep(step, patienceSeconds);
    } catch (error) {
      if (!(await isOver(step, error))) return steps.slice(done);
    }
  }
  return [];
}

/** The step for people: in the Web UI, and in what an operator is told. */
export function describe(step: CleanUpStep): string {
  switch (step.kind) {
    case 'removeExport':
      return `end export ${step.exportName} on ${nodeOf(step.backEnd)}`;
    case 'deleteDestination':
      return `delete the unfinished ${step.deviceName} on ${step.backEnd}`;
    case 'retireSource':
      return `end the export of and delete the old ${step.deviceName} on ${step.backEnd}`;
    case 'keepSource':
      return `end the export of and mark as kept the old ${step.deviceName} on ${step.backEnd}`;
    case 'settleDestination':
      return `take the migration's tag off ${step.deviceName} on ${step.backEnd}`;
    case 'disownVolume':
      return `take the tag of volume ${step.volumeId} off the device on ${step.backEnd}`;
  }
}

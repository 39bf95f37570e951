import { CancellationScope } from '@temporalio/workflow';
import { nodeOf } from '../model/ids.ts';
import type { LiveProof } from '../model/device.ts';
import type { Reason } from '../model/errors.ts';
import { registry, storageSteps } from './activities.ts';
import { reasonOf } from './failures.ts';

/**
 * One thing to take away after a migration, on either side of the switch, or after an operation that came to nothing. Data, not closures: what cannot be done now (the
 * node is away) is handed to the `cleanUp` workflow. Each may be repeated and finds its thing already gone.
 */
export type CleanUpStep =
  | {
      kind: 'removeExport';
      backEnd: string;
      exportName: string;
      /** Whoever is connected: that of an unfinished device, to which only a mirror writes that has come to nothing. */
      cut?: true;
    }
  | { kind: 'deleteDestination'; backEnd: string; deviceName: string; migrationId: string }
  | {
      kind: 'retireSource';
      backEnd: string;
      deviceName: string;
      volumeId: string;
      exportName: string;
      /** The migration by which the volume left it. */
      migrationId: string;
      /** Null: not known. */
      identity: string | null;
    }
  | {
      kind: 'keepSource';
      backEnd: string;
      deviceName: string;
      volumeId: string;
      exportName: string;
      migrationId: string;
      identity: string | null;
    }
  | ({ kind: 'settleDestination' } & Successor)
  /** The source can be written to again, and is as active, as before. */
  | { kind: 'releaseSource'; backEnd: string; deviceName: string; migrationId: string }
  /** The device of a volume that never came to be, under whichever name; `name` is the one to give it, if that is known. */
  | { kind: 'disownVolume'; backEnd: string; volumeId: string; name: string | null };

/** The device that a migration has made, or goes back to, and that holds the volume from the switch on. */
export interface Successor {
  backEnd: string;
  deviceName: string;
  volumeId: string;
  migrationId: string;
  /** The epoch of the migration's claim. */
  generation: number;
  /** Null: not known. */
  identity: string | null;
  sizeBytes: number;
  /** Of an undo: the migration that had kept it. */
  keptBy?: string;
}

/** The same steps for a migration whose source is kept: it loses its export, not itself. */
export function keepingSource(steps: readonly CleanUpStep[]): CleanUpStep[] {
  return steps.map((step) => (step.kind === 'retireSource' ? { ...step, kind: 'keepSource' } : step));
}

interface CleanUpOptions {
  /** Whether a step that failed so has nothing to do any more. */
  readonly isOver?: (step: CleanUpStep, error: unknown) => Promise<boolean>;
  /** What the device that holds the volume now has just said. */
  readonly proof?: LiveProof | null;
}

/** Runs one step; tries for `patienceSeconds` in all. `proof`: what the device that holds the volume now has just said. */
export async function runCleanUpStep(
  step: CleanUpStep,
  patienceSeconds: number,
  proof: LiveProof | null = null,
): Promise<void> {
  const node = storageSteps(nodeOf(step.backEnd), patienceSeconds);
  const summary = { summary: describe(step) };
  switch (step.kind) {
    case 'removeExport':
      return node.removeExport.executeWithOptions(summary, [step]);
    case 'deleteDestination':
      return node.deleteDestination.executeWithOptions(summary, [step]);
    case 'retireSource':
      return retire(step, patienceSeconds, proof);
    case 'keepSource':
      return node.keepSource.executeWithOptions(summary, [step]);
    case 'settleDestination':
      await node.settleDestination.executeWithOptions(summary, [step]);
      return undefined;
    case 'releaseSource':
      return node.releaseSource.executeWithOptions(summary, [step]);
    case 'disownVolume':
      return node.disownVolume.executeWithOptions(summary, [step]);
  }
}

/**
 * The last copy rule: the device that holds the volume now is asked each time, right before what the volume has left is deleted. A volume
 * that came back to it keeps it. What the device has `said` already counts where the node that deletes finds that the registry says the same, and
 * that it is not long ago; else it is asked again.
 */
async function retire(
  step: CleanUpStep & { kind: 'retireSource' },
  patienceSeconds: number,
  said: LiveProof | null,
): Promise<void> {
  const { backEnd, deviceName, volumeId } = step;
  const summary = { summary: describe(step) };
  const retireWith = (proof: LiveProof | null) =>
    storageSteps(nodeOf(backEnd), patienceSeconds).retireSource.executeWithOptions(summary, [{ ...step, proof }]);
  if (said !== null) {
    try {
      return await retireWith(said);
    } catch (error) {
      if (!doesNotCount.has(reasonOf(error).type)) throw error;
    }
  }
  const at = await registry.whereabouts.executeWithOptions({ summary: `where is volume ${volumeId}?` }, [{ volumeId }]);
  if (at.state === 'there' && at.backEnd === backEnd && at.deviceName === deviceName) return;
  const proof =
    at.state === 'there'
      ? await storageSteps(nodeOf(at.backEnd), patienceSeconds).proveLive.executeWithOptions(
          { summary: `is the volume whole on ${at.backEnd}?` },
          [{ ...at, volumeId }],
        )
      : null;
  await retireWith(proof);
}

/** The answers of a node to a proof that is too old, or that the registry contradicts: it holds the step's device for the volume's again, say. */
const doesNotCount: ReadonlySet<Reason['type']> = new Set(['NotProven', 'NotOwned']);

/**
 * Runs the steps in order, whatever happens to the workflow meanwhile; steps of one node wait for each other, the nodes do
 * not, but for what a new device must say first. Returns what could not be done in time, in order.
 */
export async function runCleanUp(
  steps: readonly CleanUpStep[],
  patienceSeconds: number,
  options: CleanUpOptions = {},
): Promise<CleanUpStep[]> {
  return CancellationScope.nonCancellable(async () => {
    // The new device must say that it holds the volume before anything of the old one is touched.
    const settling = steps.filter(({ kind }) => kind === 'settleDestination');
    const unsettled = await runByNode(settling, patienceSeconds, options);
    const others = steps.filter(({ kind }) => kind !== 'settleDestination');
    return unsettled.length > 0 ? [...unsettled, ...others] : runByNode(others, patienceSeconds, options);
  });
}

async function runByNode(
  steps: readonly CleanUpStep[],
  patienceSeconds: number,
  options: CleanUpOptions,
): Promise<CleanUpStep[]> {
  const byNode = Map.groupBy(steps, (step) => nodeOf(step.backEnd));
  const left = await Promise.all([...byNode.values()].map((own) => runInOrder(own, patienceSeconds, options)));
  return left.flat();
}

async function runInOrder(
  steps: readonly CleanUpStep[],
  patienceSeconds: number,
  { isOver, proof }: CleanUpOptions,
): Promise<CleanUpStep[]> {
  for (const [done, step] of steps.entries()) {
    try {
      await runCleanUpStep(step, patienceSeconds, proof);
    } catch (error) {
      if (!(await isOver?.(step, error))) return steps.slice(done);
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
    case 'releaseSource':
      return `let ${step.deviceName} on ${step.backEnd} be written to again`;
    case 'disownVolume':
      return `take the tag of volume ${step.volumeId} off the device on ${step.backEnd}`;
  }
}

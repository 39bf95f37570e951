import {
  ApplicationFailure,
  CancellationScope,
  allHandlersFinished,
  condition,
  patched,
  uuid4,
} from '@temporalio/workflow';
import * as z from 'zod';
import { refusal, type Reason } from '../model/errors.ts';
import { migrationRequest, type Claim, type ClaimedMigration } from '../model/migration.ts';
import { deviceName } from '../model/names.ts';
import { nodeOf } from '../model/ids.ts';
import { registry, storageSteps } from './activities.ts';
import { askNodes } from './ask-nodes.ts';
import { causeOf, cleanUpOrHandOver } from './clean-up-or-hand-over.ts';
import { keepingSource, type CleanUpStep, type Successor } from './clean-up-steps.ts';
import { cancelled, failureOf, reasonOf } from './failures.ts';
import { fenceSource, untilFenced } from './fence-source.ts';
import { assisted } from './flows/assisted.ts';
import { genericAttached } from './flows/attached.ts';
import { genericDetached, type FlowResult } from './flows/generic-detached.ts';
import { handleMessages } from './migration-messages.ts';
import { returnToKept } from './flows/undo.ts';
import { tellKeptSource, watchKeptSource } from './kept-sources.ts';
import { MigrationRun } from './migration-run.ts';
import { settleDestination } from './settle-destination.ts';
import { workflowOwner } from './owner.ts';

export interface MigrationResult {
  migrationId: string;
  volumeId: string;
  source: string;
  destination: string;
  digest: string | null;
}

/**
 * Moves one volume to another back end. Claim → flow → switch → clean up → release. The switch is the point of no return:
 * before it every failure, and a cancel, goes back to the original state; after it everything is tried until it is done.
 */
export async function migrateVolume(input: unknown): Promise<MigrationResult> {
  const parsed = migrationRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const run = new MigrationRun(parsed.data);
  const verdict = handleMessages(run);
  try {
    await refuseByNodes(run);
    const m = await claimVolume(run);
    verdict.claimed = { migrationId: m.claim.migrationId };
    return await moveClaimed(run, m);
  } catch (error) {
    verdict.refused ??= verdict.claimed ? null : reasonOf(error);
    if (verdict.refused) run.finish({ outcome: 'refused', reason: verdict.refused });
    run.enter('finished');
    throw failureOf(reasonOf(error));
  } finally {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  }
}

/** A node that is up answers within this, also when it has much to do; one that is away is waited for later, with the volume claimed. Seconds. */
const answerSeconds = 10;

/**
 * Refuses what the nodes see and the registry does not know, before anything is claimed. What the registry itself refuses is told by the
 * claim; who does not answer does not decide.
 */
async function refuseByNodes({ request }: MigrationRun): Promise<void> {
  const { reasons } = await CancellationScope.nonCancellable(() => askNodes(request, answerSeconds));
  const [first, ...others] = reasons;
  if (!first) return;
  const { volumeId, destination, newType, undoes } = request;
  const isRefused = undoes === null && (await registry.reasonsAgainst({ volumeId, destination, newType })).length > 0;
  if (isRefused) return;
  const { type, message, details } = refusal([first, ...others]);
  throw failureOf({ type, message, details });
}

/** The claim is decided whole, even if a cancel comes meanwhile: half of it could not be told from none. */
async function claimVolume(run: MigrationRun): Promise<ClaimedMigration & { destinationNameId: string }> {
  const destinationNameId = uuid4();
  const m = await CancellationScope.nonCancellable(() =>
    registry.claimVolume.executeWithOptions({ summary: `claim volume ${run.request.volumeId}` }, [
      { request: run.request, migrationId: run.state.migrationId, owner: workflowOwner(), destinationNameId },
    ]),
  );
  run.claimed(m);
  return { ...m, destinationNameId };
}

async function moveClaimed(
  run: MigrationRun,
  m: ClaimedMigration & { destinationNameId: string },
): Promise<MigrationResult> {
  const undo: CleanUpStep[] = [];
  let flow: FlowResult;
  try {
    flow = await run.scope.run(async () => {
      const moved = await runFlow(run, m, undo);
      if (m.flow === 'generic-attached') return moved;
      const { untilSwitch = (last) => last() } = moved;
      await untilSwitch(async () => {
        await proveDestination(run, moved);
        run.throwIfCancelled();
      });
      return moved;
    });
    // A guest that was turned to the destination stays there.
    if (!run.pastPointOfNoReturn) run.throwIfCancelled();
  } catch (error) {
    // A step that fails while it is being cancelled (its node is gone, say) is still a cancel.
    const reason = run.scope.consideredCancelled ? cancelled : reasonOf(error);
    await goBack(run, m.claim, undo, reason);
    throw failureOf(reason);
  }
  const returned = await CancellationScope.nonCancellable(() => goForward(run, m, flow));
  if (returned) throw failureOf(returned);
  return {
    migrationId: m.claim.migrationId,
    volumeId: m.claim.volumeId,
    source: m.source.backEnd,
    destination: m.destination.backEnd,
    digest: flow.digest,
  };
}

async function runFlow(
  run: MigrationRun,
  m: ClaimedMigration & { destinationNameId: string },
  undo: CleanUpStep[],
): Promise<FlowResult> {
  const name = deviceName({ id: m.claim.volumeId, nameId: m.destinationNameId });
  if (m.flow === 'generic-detached') return genericDetached(run, m, name, undo);
  if (m.flow === 'generic-attached') return genericAttached(run, m, name, undo);
  if (m.flow === 'undo') return returnToKept(run, m, undo);
  return assisted(run, m, undo);
}

/** The last question before the point of no return: is there still what was verified? */
async function proveDestination(run: MigrationRun, { destination }: FlowResult): Promise<void> {
  const node = storageSteps(nodeOf(destination.backEnd), run.request.nodeTimeoutSeconds);
  await node.proveDestination.executeWithOptions(
    { summary: `is ${destination.deviceName} on ${destination.backEnd} still there?` },
    [destination],
  );
}

/** Before the point of no return: everything made is taken away, the volume is as it was. */
async function goBack(run: MigrationRun, claim: Claim, undo: readonly CleanUpStep[], reason: Reason): Promise<void> {
  // Fenced: the volume is somebody else's now, and so is the decision about what is left; the repair finds it by its tags.
  if (reason.type === 'Fenced') return run.finish({ outcome: 'error', reason });
  await CancellationScope.nonCancellable(async () => {
    run.enter('undoing');
    await registry.enterPhase.executeWithOptions({ summary: 'record: undoing' }, [{ claim, phase: 'undoing' }]);
    await cleanUpOrHandOver(causeOf(claim), undo.toReversed());
    const outcome = reason.type === 'Cancelled' ? 'cancelled' : 'error';
    await registry.releaseVolume.executeWithOptions({ summary: `release the volume: ${outcome}` }, [
      { claim, outcome, error: outcome === 'error' ? reason : null },
    ]);
    run.finish({ outcome, reason });
  });
}

/**
 * From the switch on: retried until it is done. The new device says that it is the volume's before the old one goes. Null; or why the
 * volume is back on its source: the new device was lost before it could.
 */
async function goForward(run: MigrationRun, m: ClaimedMigration, flow: FlowResult): Promise<Reason | null> {
  const { claim, source, undoes } = m;
  const { destination } = flow;
  const switchVolume = () =>
    registry.switchVolume.executeWithOptions(
      { summary: 'switch the volume to its new place: the point of no return' },
      [
        {
          claim,
          digest: flow.digest,
          proof: flow.proof,
          evidence: flow.evidence ?? null,
          transferredBytes: flow.transferredBytes,
          attachment: flow.attachment,
          identity: destination.identity,
        },
      ],
    );
  run.enter('switching');
  await switchVolume();
  run.enter('cleaning-up');
  const isGuests = m.flow === 'generic-attached' && patched('the source that a guest has left is fenced');
  const left = isGuests ? flow.cleanUp[0]! : null;
  const isFenced = left === null || (await fenceSource(run, left));
  const settled = await settleDestination(run, m, destination);
  if ('returned' in settled) return endReturned(run, m, destination, settled.returned);
  if (!isFenced) await untilFenced(run, left);
  const { migrationId, volumeId } = claim;
  const keeps = run.request.keepSourceSeconds !== null;
  if (undoes) await tellKeptSource(undoes.migrationId);
  const { backEnd, deviceName, identity } = source;
  if (keeps) await watchKeptSource({ migrationId, volumeId, backEnd, deviceName, identity });
  const steps = keeps ? keepingSource(flow.cleanUp) : flow.cleanUp;
  await cleanUpOrHandOver(causeOf(claim), steps, run.isBrief ? settled.proof : null);
  for (;;) {
    try {
      await registry.releaseVolume.executeWithOptions({ summary: 'release the volume: success' }, [
        { claim, outcome: 'success', error: null },
      ]);
      break;
    } catch (error) {
      if (reasonOf(error).type !== 'NotSwitched') throw error;
      // A standby that had not heard of the switch has taken over. The devices have, and so have we.
      await switchVolume();
    }
  }
  run.finish({ outcome: 'success', digest: flow.digest, proof: flow.proof, transferredBytes: flow.transferredBytes });
  return null;
}

/** The volume is on its source again. What is left of the new device goes when its node is back, and the source has proven itself. */
async function endReturned(run: MigrationRun, { claim, source }: ClaimedMigration, to: Successor, reason: Reason) {
  const { migrationId, volumeId } = claim;
  const { backEnd, deviceName, identity } = to;
  const exportName = `migration-${migrationId}`;
  await cleanUpOrHandOver(causeOf(claim), [
    { kind: 'removeExport', backEnd: source.backEnd, exportName },
    { kind: 'releaseSource', backEnd: source.backEnd, deviceName: source.deviceName, migrationId },
    {
      kind: 'retireSource',
      backEnd,
      deviceName,
      volumeId,
      migrationId,
      identity,
      exportName,
    },
  ]);
  await registry.releaseVolume.executeWithOptions({ summary: 'release the volume: error' }, [
    { claim, outcome: 'error', error: reason },
  ]);
  run.finish({ outcome: 'error', reason });
  return reason;
}

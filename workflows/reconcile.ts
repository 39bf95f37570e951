import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  executeChild,
  metricMeter,
  patched,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import * as z from 'zod';
import type { AbandonedClaim } from '../activities/repair/create-repair-activities.ts';
import type { DevicePlace } from '../model/connection.ts';
import { nodeOf } from '../model/ids.ts';
import { metrics } from '../model/metrics.ts';
import { repairWorkflowId } from '../model/names.ts';
import {
  repairRequest,
  type AbandonedMigration,
  type RepairReport,
  type RepairRequest,
  type RepairState,
  type UnwatchedKeptSource,
  type DeviceChoice,
  type FoundDevice,
  type VolumeRepair,
} from '../model/repair.ts';
import type { JudgedVolume } from '../activities/repair/judge-volumes.ts';
import { repair, storageSteps } from './activities.ts';
import type { KeptDevice } from '../model/kept-source.ts';
import { endOperation } from './end-operation.ts';
import { reasonOf } from './failures.ts';
import { findOrphans, removeOrphans } from './find-orphans.ts';
import { watchKeptSource } from './kept-sources.ts';
import { lookAtDevice } from './look-at-device.ts';
import { directionOf, repairVolume } from './repair-volume.ts';

/** A node that answers does so at once. Seconds. */
const chooseSeconds = 30;

const orphansSeen = metricMeter.createCounter(metrics.orphansSeen, undefined, 'Orphans, counted at every look');

const finished = metricMeter.createCounter(metrics.reconcilesFinished, undefined, 'Looks that came to their end');

/**
 * Looks for what nobody carries on: volumes held by workflows that are closed or gone, kept sources that no workflow would remove, and
 * devices and exports that belong to nobody. Repairs the first two, removes the others after a grace time, and tells what it found. Started every minute by the schedule
 * `reconcile`, and by `ferry repair`; two at once do not disturb each other.
 */
export async function reconcile(input: unknown = {}): Promise<RepairReport> {
  const parsed = repairRequest.safeParse(input ?? {});
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const { dryRun, volumeId, orphanGraceSeconds, guestOn, rollForward } = parsed.data;
  // Looks that began before there were kept sources were not told of them.
  const { claims, operations, kept = [] } = await repair.listAbandoned({ volumeId });
  const migrations = await Promise.all(claims.map((claim) => repairMigration(claim, { dryRun, guestOn })));
  const ended = await Promise.all(operations.map((held) => endOperation(held, dryRun)));
  const unwatched = await Promise.all(kept.map((each) => watchAgain(each, dryRun)));
  const { orphans: judged, volumes: judgedVolumes, unseen } = await findOrphans({ volumeId, orphanGraceSeconds });
  const volumes = await Promise.all(
    judgedVolumes.map((each) => repairPlace(each, { dryRun, rollForward, device: parsed.data.device ?? null })),
  );
  orphansSeen.add(judged.length);
  if (!dryRun) await removeOrphans(judged);
  const report: RepairReport = {
    dryRun,
    migrations,
    operations: ended,
    keptSources: unwatched,
    orphans: judged.map(({ orphan }) => orphan),
    volumes,
    unseen,
  };
  setCurrentDetails(detailsOf(report));
  finished.add(1);
  return report;
}

async function repairMigration(
  found: AbandonedClaim,
  { dryRun, guestOn }: Pick<RepairRequest, 'dryRun' | 'guestOn'>,
): Promise<AbandonedMigration> {
  const { claim, since, phase } = found;
  const { volumeId, migrationId, owner } = claim;
  const told = { volumeId, migrationId, owner, since, phase, direction: directionOf(found) };
  if (dryRun) return { ...told, state: 'none', note: null };
  try {
    const done = await executeChild(repairVolume, {
      workflowId: repairWorkflowId(volumeId),
      parentClosePolicy: 'ABANDON',
      args: [{ claim, ...(guestOn ? { guestOn } : {}) }],
      staticSummary: `repair volume ${volumeId}: its migration's workflow is gone`,
    });
    if (done === null) return { ...told, state: 'none', note: 'it was over in the meantime' };
    if (done.direction === 'parked')
      return { ...told, direction: 'parked', state: 'none', note: parkedNote(found, done.why) };
    if (!('handedOver' in done)) return { ...told, direction: done.direction, state: 'repaired', note: done.why };
    const handedOver =
      done.handedOver.length > 0 ? `left to a clean-up that waits for its node: ${done.handedOver.join('; ')}` : null;
    return { ...told, direction: done.direction, state: 'repaired', note: handedOver };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return { ...told, state: 'under-way', note: null };
    return { ...told, ...failed(error) };
  }
}

/** It is asked again at every look: an operator is needed only where no hypervisor will answer any more. */
function parkedNote({ claim, flow, source }: AbandonedClaim, why: string): string {
  const resolve = `ferry migration resolve ${claim.volumeId}`;
  if (flow === 'generic-attached')
    return `a guest may write to either side, nothing was deleted: ${why} Asked again every minute; or: ${resolve} source|destination`;
  return `nothing was deleted: ${why} Asked again every minute. If the destination is lost for good, the volume goes back to what it was on ${source.backEnd}: ${resolve} source`;
}

/** Takes the devices' word for where a volume is: only when an operator asks for the repair, and where it is unambiguous. */
async function repairPlace(
  { told, found }: JudgedVolume,
  { dryRun, rollForward, device }: { dryRun: boolean; rollForward: boolean; device: DeviceChoice | null },
): Promise<VolumeRepair> {
  if (dryRun || !rollForward) return told;
  try {
    const chosen = device ? await chooseDevice(told, device) : told.direction === 'adopt' ? found : null;
    if (!chosen) return told;
    const isKnown = told.registry !== null && patched('a guest on the node itself has the device by its path');
    const place = isKnown && chosen.written === null ? { place: await placeOf(chosen) } : {};
    await repair.adoptFoundDevice.executeWithOptions(
      { summary: `volume ${told.volumeId} is on ${chosen.backEnd}, says its device` },
      [{ ...chosen, ...place }],
    );
    return { ...told, state: 'repaired' };
  } catch (error) {
    return { ...told, ...failed(error) };
  }
}

/** How a guest on the device's own node has it, if one has. */
function placeOf({ backEnd, deviceName, volumeId, sizeBytes }: FoundDevice): Promise<DevicePlace> {
  return storageSteps(nodeOf(backEnd), chooseSeconds).locateVolume.executeWithOptions(
    { summary: `where is ${deviceName} on ${nodeOf(backEnd)}?` },
    [{ backEnd, deviceName, volumeId, sizeBytes }],
  );
}

/** The operator's choice among the devices of a volume: it becomes the newest. */
async function chooseDevice(told: VolumeRepair, { backEnd, deviceName }: DeviceChoice): Promise<FoundDevice> {
  const { volumeId } = told;
  const there = await lookAtDevice(backEnd, deviceName);
  if (!there || there.volumeId !== volumeId)
    throw ApplicationFailure.nonRetryable(
      `There is no ${deviceName} of volume ${volumeId} on ${backEnd}.`,
      'DeviceMissing',
    );
  const generations = [...told.devices.map((d) => d.generation), told.registry?.generation ?? 0, there.generation];
  const generation = Math.max(...generations) + 1;
  const { identity, sizeBytes } = there;
  await storageSteps(nodeOf(backEnd), chooseSeconds).reviveDevice.executeWithOptions(
    { summary: `${deviceName} on ${backEnd} holds the volume` },
    [{ backEnd, deviceName, volumeId, identity, generation, sizeBytes }],
  );
  return { ...there.labels, volumeId, backEnd, deviceName, identity, generation, sizeBytes, written: null };
}

async function watchAgain(kept: KeptDevice, dryRun: boolean): Promise<UnwatchedKeptSource> {
  if (dryRun) return { ...kept, state: 'none', note: null };
  try {
    return { ...kept, state: (await watchKeptSource(kept)) ? 'repaired' : 'under-way', note: null };
  } catch (error) {
    return { ...kept, ...failed(error) };
  }
}

function failed(error: unknown): { state: RepairState; note: string } {
  return { state: 'failed', note: reasonOf(error).message };
}

function detailsOf({ dryRun, migrations, operations, keptSources, orphans, volumes, unseen }: RepairReport): string {
  const lines = [
    ...migrations.map(
      (m) => `- migration of \`${m.volumeId}\` (${m.phase}): ${m.direction}, ${m.state}${m.note ? `: ${m.note}` : ''}`,
    ),
    ...operations.map((o) => `- ${o.operation} of \`${o.volumeId}\`: ${o.state}${o.note ? `: ${o.note}` : ''}`),
    ...keptSources.map((k) => `- nothing would have removed the kept \`${k.deviceName}\` on ${k.backEnd}: ${k.state}`),
    ...orphans.map((o) => `- ${o.kind} \`${o.name}\` on ${o.backEnd}: ${o.why}${o.removed ? '; removed' : ''}`),
    ...volumes.map(
      (v) => `- volume \`${v.volumeId}\`: ${v.why}; ${v.state === 'repaired' ? 'repaired' : 'needs repair'}`,
    ),
    ...unseen.map((u) => `- not looked at: ${u.node}: ${u.why}`),
  ];
  const title =
    lines.length === 0
      ? 'Nothing was found that nobody carries on.'
      : `Found by ${workflowInfo().workflowId}${dryRun ? ' (dry run)' : ''}:`;
  return [title, ...lines].join('\n');
}

import { ApplicationFailure, CancellationScope, isCancellation, log, sleep } from '@temporalio/workflow';
import { fillingTags } from '../../model/device.ts';
import { nodeOf } from '../../model/ids.ts';
import { copyStart, type Checkpoint } from '../../model/migration.ts';
import { copyExportName, type Origin } from '../../model/origin.ts';
import { formatBytes } from '../../model/sizes.ts';
import { registry, storageSteps } from '../activities.ts';
import { reasonOf } from '../failures.ts';
import { sourceLost } from '../transfer.ts';
import { storageWork } from './storage-work.ts';

/** How long what a volume is copied from may be away while no byte moves. Seconds. */
const lostSeconds = 300;
const pauseSeconds = 5;

/** The device of a volume whose bytes are being copied onto it, and the operation that this is a part of. */
interface Filled {
  backEnd: string;
  deviceName: string;
  volumeId: string;
  owner: string;
}

/**
 * Makes the device of a volume that is being made from another, or from a snapshot: its bytes are copied in full, read back from the
 * medium and compared, and only then is the device the volume's. When it fails the device stays as it is, half filled, for the
 * volume's deletion.
 */
export async function fillVolume(
  to: Filled & { sizeBytes: number; labels: readonly string[] },
): Promise<{ identity: string }> {
  const { sizeBytes, labels, ...there } = to;
  const { backEnd, deviceName, volumeId } = there;
  const origin = await registry.findOrigin.executeWithOptions({ summary: 'what is it made from?' }, [{ volumeId }]);
  const work = storageWork(nodeOf(backEnd));
  const tags = [...fillingTags(volumeId), ...labels];
  const { identity, readsZero } = await work.createDevice.executeWithOptions(
    { summary: `make the device on ${backEnd}` },
    [{ backEnd, deviceName, sizeBytes: origin.sizeBytes, tags, toFill: true }],
  );
  await copyFrom({ ...there, origin, readsZero });
  await work.completeDevice.executeWithOptions({ summary: `it is whole: make it volume ${volumeId}` }, [
    { ...there, generation: 0, identity, sizeBytes },
  ]);
  return { identity };
}

/** Copies all that the origin holds onto the device, and proves that it came there. `readsZero`: the device shows nothing but zeros. */
export async function copyFrom(to: Filled & { origin: Origin; readsZero: boolean }): Promise<void> {
  const { origin, readsZero, ...there } = to;
  const { backEnd, deviceName, volumeId } = there;
  const from = `${origin.deviceName} on ${origin.backEnd}`;
  const { sizeBytes } = origin;
  const work = storageWork(nodeOf(backEnd));
  const at = storageSteps(nodeOf(origin.backEnd), lostSeconds);
  const exported = nodeOf(origin.backEnd) !== nodeOf(backEnd);
  const open = () =>
    at.openOrigin.executeWithOptions({ summary: `let ${from} be read` }, [{ ...there, origin, exported }]);
  try {
    const first = await open();
    let { source } = first;
    const copied = await inStretches(
      (start) =>
        work.fillDevice.executeWithOptions({ summary: `copy ${formatBytes(sizeBytes)} from ${from} to ${backEnd}` }, [
          { ...there, origin, source, sizeBytes, readsZero, digest: true, from: start, bandwidth: null },
        ]),
      async () => void ({ source } = await open()),
    );
    const readBack = await inStretches((start) =>
      work.digestFilled.executeWithOptions({ summary: `read ${deviceName} on ${backEnd}, to compare` }, [
        { ...there, sizeBytes, from: start, bandwidth: null },
      ]),
    );
    if (readBack.chain !== copied.chain)
      throw ApplicationFailure.nonRetryable(
        `${deviceName} on ${backEnd} does not hold what arrived from ${from}: its disk gives back other bytes. Check that disk, and do it again.`,
        'ChecksumMismatch',
        { expected: copied.chain, found: readBack.chain },
      );
    await at.checkOrigin.executeWithOptions({ summary: `was ${from} written to meanwhile?` }, [
      { origin, lastWrite: first.lastWrite },
    ]);
  } finally {
    if (exported) await CancellationScope.nonCancellable(() => endExport(origin.backEnd, copyExportName(volumeId)));
  }
}

/** Carries a transfer to its end; `recover` brings back what it reads from. */
async function inStretches(
  stretch: (from: Checkpoint) => Promise<{ checkpoint: Checkpoint; finished: boolean }>,
  recover: (() => Promise<void>) | null = null,
): Promise<Checkpoint> {
  let at = copyStart;
  let lostSince: number | null = null;
  for (;;) {
    try {
      const reached = await stretch(at);
      at = reached.checkpoint;
      lostSince = null;
      if (reached.finished) return at;
    } catch (error) {
      const lost = isCancellation(error) ? null : sourceLost(error);
      if (!lost || !recover) throw error;
      if (lost.at && lost.at.offset > at.offset) {
        at = lost.at;
        lostSince = null;
      }
      lostSince ??= Date.now();
      if (Date.now() - lostSince > lostSeconds * 1000) throw error;
      await sleep(`${pauseSeconds}s`, { summary: 'before what it is copied from is tried again' });
      await recover();
    }
  }
}

/** Nobody writes through it: what is left of one ends when what it shows is deleted, or with its node. */
async function endExport(backEnd: string, exportName: string): Promise<void> {
  try {
    await storageSteps(nodeOf(backEnd), 30).removeExport.executeWithOptions({ summary: `end export ${exportName}` }, [
      { backEnd, exportName },
    ]);
  } catch (error) {
    log.warn(`export ${exportName} on ${backEnd} is left: ${reasonOf(error).message}`);
  }
}

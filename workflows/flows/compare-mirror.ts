import { ApplicationFailure, sleep } from '@temporalio/workflow';
import { nodeOf } from '../../model/ids.ts';
import { checkpoint as checkpointSchema, comparesMirror, type ClaimedMigration } from '../../model/migration.ts';
import { computeSteps, registry, storageSteps, storageTransfers } from '../activities.ts';
import type { CleanUpStep } from '../clean-up-steps.ts';
import { reasonOf } from '../failures.ts';
import type { MigrationRun } from '../migration-run.ts';
import { runTransfer } from '../transfer.ts';
import type { AttachedDestination } from './attached-destination.ts';
import type { AttachedDisk } from './attached-mirror.ts';
import { nothingProven, type Proven } from './verify.ts';

/** What differs is looked at once more after so long, as often as its hypervisor says that the mirror is behind. Seconds. */
const behindPause = 5;
const mostLooks = 6;

/** How often a mirror is begun anew because it has not brought what the source holds. */
const mostMirrorsAgain = 1;

/**
 * Compares the two sides of a running guest's mirror that is ready: the source as its own node reads it, through a read-only export, with the
 * destination as its node reads that. The mirror goes on meanwhile, and the guest is not disturbed.
 */
export class MirrorComparison {
  readonly #run: MigrationRun;
  readonly #m: ClaimedMigration;
  readonly #disk: AttachedDisk;
  readonly #destination: AttachedDestination;
  readonly #undo: CleanUpStep[];
  readonly #exportName: string;
  #isExported = false;
  #mirroredAgain = 0;

  constructor(
    run: MigrationRun,
    m: ClaimedMigration,
    disk: AttachedDisk,
    destination: AttachedDestination,
    undo: CleanUpStep[],
  ) {
    this.#run = run;
    this.#m = m;
    this.#disk = disk;
    this.#destination = destination;
    this.#undo = undo;
    this.#exportName = `migration-${m.claim.migrationId}`;
  }

  /**
   * What is proven by it. Null: a new mirror has to begin; the old one is lost, or was ended, since the destination is not what it should be.
   * `ChecksumMismatch`: it is not after that, either.
   */
  async prove(): Promise<Proven | null> {
    const run = this.#run;
    const { destination } = this.#m;
    if (!comparesMirror(run.request.verify) || !this.#destination.compares) return nothingProven;
    run.enter('verifying');
    run.report({ bytesDone: 0, bytesPerSecond: 0 });
    await registry.enterPhase.executeWithOptions({ summary: 'record: verifying' }, [
      { claim: this.#m.claim, phase: 'verifying' },
    ]);
    try {
      const { unproven, medium } = await this.#compare();
      const evidence = { source: 'server', destination: 'comparison', copiedAgain: this.#mirroredAgain } as const;
      return {
        proof: medium === 'direct' ? 'compared' : 'cache',
        evidence: { ...evidence, ...(unproven ? { unprovenBytes: unproven } : {}) },
      };
    } catch (error) {
      const reason = reasonOf(error);
      if (reason.type === 'MirrorFailed') return null;
      if (reason.type !== 'ChecksumMismatch' || this.#mirroredAgain >= mostMirrorsAgain) throw error;
      this.#mirroredAgain += 1;
      run.waitFor(`a new mirror: ${reason.message}`);
      await this.#hypervisor().abortMirror.executeWithOptions(
        {
          summary: `end the mirror of instance ${this.#disk.instance}'s disk: ${destination.backEnd} holds other bytes`,
        },
        [this.#move()],
      );
      return null;
    }
  }

  async #compare() {
    const run = this.#run;
    const { source, destination, claim, sizeBytes } = this.#m;
    const { volumeId, migrationId } = claim;
    const exported = { backEnd: source.backEnd, exportName: this.#exportName };
    if (!this.#isExported) this.#undo.push({ kind: 'removeExport', ...exported });
    this.#isExported = true;
    const exportSource = (patienceSeconds: number) =>
      storageSteps(nodeOf(source.backEnd), patienceSeconds).exportSource.executeWithOptions(
        { summary: `export ${source.deviceName} read-only from ${source.backEnd}, to compare` },
        [{ ...source, exportName: this.#exportName, sizeBytes, volumeId, migrationId }],
      );
    let address = await exportSource(run.request.nodeTimeoutSeconds);
    const transfers = storageTransfers(nodeOf(destination.backEnd), run.request.nodeTimeoutSeconds);
    return runTransfer(
      run,
      async (start) => {
        let from = start;
        let wasInSync = false;
        for (let looks = 1; ; looks += 1) {
          try {
            return await transfers.compareVolume.executeWithOptions(
              { summary: `compare ${this.#destination.there.deviceName} with ${source.deviceName}` },
              [
                {
                  ...this.#destination.there,
                  volumeId,
                  sizeBytes,
                  source: address,
                  from,
                  bandwidth: run.state.bandwidth,
                },
              ],
            );
          } catch (error) {
            const reason = reasonOf(error);
            if (reason.type !== 'ChecksumMismatch') throw error;
            if (wasInSync || looks >= mostLooks) throw error;
            wasInSync = await this.#isInSync();
            from = checkpointSchema.safeParse(reason.details?.['checkpoint']).data ?? from;
            if (!wasInSync) await sleep(`${behindPause}s`, { summary: 'until the mirror has caught up' });
          }
        }
      },
      async (left) => {
        address = await exportSource(left);
      },
    );
  }

  /** Whether the mirror has brought all that the guest has written: what differs then does so for good. `MirrorFailed`: it follows no more. */
  async #isInSync(): Promise<boolean> {
    const stands = await this.#hypervisor().probeDisk.executeWithOptions(
      { summary: `does the mirror of instance ${this.#disk.instance}'s disk follow?` },
      [this.#move()],
    );
    if (stands.kind === 'unknown' || stands.kind === 'libvirtd-down') return false;
    if ((stands.kind !== 'ready' && stands.kind !== 'copying') || stands.position.paused)
      throw ApplicationFailure.nonRetryable('The mirror does not follow the source any more.', 'MirrorFailed');
    return stands.kind === 'ready' && stands.position.bytesDone === stands.position.totalBytes;
  }

  #move() {
    const { computeHost: _, ...at } = this.#disk;
    return { ...at, destination: this.#destination.source };
  }

  #hypervisor() {
    return computeSteps(this.#disk.computeHost, this.#run.request.nodeTimeoutSeconds);
  }
}

import { isCancellation, sleep } from '@temporalio/workflow';
import type { DiskSource } from '../../activities/compute/disk-source.ts';
import { diskSource, type Connection } from '../../model/connection.ts';
import { nodeOf } from '../../model/ids.ts';
import type { ClaimedMigration } from '../../model/migration.ts';
import { formatBytes } from '../../model/sizes.ts';
import { storageSteps } from '../activities.ts';
import type { CleanUpStep, Successor } from '../clean-up-steps.ts';
import { reasonOf } from '../failures.ts';
import type { MigrationRun } from '../migration-run.ts';

/**
 * The device that a running guest's disk moves to, and how the guest's hypervisor reaches it: directly when it is the same machine, else
 * through an export with room for one client, which is the fence. The export has the device's own name: no other ever has it.
 */
export class AttachedDestination {
  readonly there: { backEnd: string; deviceName: string; migrationId: string };
  /** What takes it all away, in the order of making. */
  readonly undo: CleanUpStep[];
  readonly #run: MigrationRun;
  readonly #m: ClaimedMigration;
  readonly #computeHost: string;
  #connection: Connection | null = null;
  #ended = false;
  #zerosTakeRoom = false;
  #compares = false;
  #identity: string | null = null;

  constructor(run: MigrationRun, m: ClaimedMigration, deviceName: string, computeHost: string) {
    this.#run = run;
    this.#m = m;
    this.#computeHost = computeHost;
    this.there = { backEnd: m.destination.backEnd, deviceName, migrationId: m.claim.migrationId };
    this.undo = [
      { kind: 'deleteDestination', ...this.there },
      { kind: 'removeExport', backEnd: this.there.backEnd, exportName: deviceName, cut: true },
    ];
  }

  get connection(): Connection {
    return this.#connection!;
  }

  get source(): DiskSource {
    return diskSource(this.connection);
  }

  /** What the mirror writes there takes its whole size, until the zeros of it are unmapped. */
  get zerosTakeRoom(): boolean {
    return this.#zerosTakeRoom;
  }

  /** Its node can compare it with what it is mirrored from; an older one cannot. */
  get compares(): boolean {
    return this.#compares;
  }

  /** What holds the volume from the switch on. */
  get successor(): Successor {
    const { claim, sizeBytes } = this.#m;
    return { ...this.there, volumeId: claim.volumeId, generation: claim.epoch, identity: this.#identity, sizeBytes };
  }

  get isExported(): boolean {
    return this.connection.protocol === 'nbd';
  }

  /** Makes the device, and the way to it. */
  async prepare(): Promise<void> {
    const { backEnd, deviceName } = this.there;
    const { sizeBytes, claim } = this.#m;
    const made = await this.#steps().prepareDestination.executeWithOptions(
      { summary: `make ${deviceName} (${formatBytes(sizeBytes)}) on ${backEnd}` },
      [{ ...this.there, volumeId: claim.volumeId, sizeBytes, generation: claim.epoch, labels: this.#m.labels }],
    );
    this.#zerosTakeRoom = made.zerosTakeRoom;
    this.#compares = made.compares === true;
    this.#identity = made.identity;
    if (nodeOf(backEnd) === this.#computeHost) {
      const place = await this.#steps().locateVolume({ backEnd, deviceName, volumeId: claim.volumeId, sizeBytes });
      this.#connection = { protocol: 'local', ...place, backEnd, device: deviceName };
    } else await this.export();
  }

  /** Brings the export up, or back up; not on a back end that has run full, if it `needsRoom`. One that is used directly has none. */
  async export(patienceSeconds?: number, { needsRoom = false } = {}): Promise<void> {
    const { backEnd, deviceName } = this.there;
    const { sizeBytes, claim } = this.#m;
    const before = this.#connection;
    if (before && before.protocol !== 'nbd') return;
    const address = await this.#steps(patienceSeconds).exportDestination.executeWithOptions(
      { summary: `export ${deviceName} from ${backEnd} to ${this.#computeHost}` },
      [{ ...this.there, exportName: deviceName, sizeBytes, volumeId: claim.volumeId, port: before?.port, needsRoom }],
    );
    this.#connection = { protocol: 'nbd', ...address, backEnd, device: deviceName };
    this.#ended = false;
  }

  /**
   * Ends the export: nobody writes to the device any more, and whoever hangs in it is freed. When its node does not answer, the export
   * may be dead already; whoever hangs is asked again.
   */
  async endExport(): Promise<void> {
    if (!this.isExported) return;
    this.#ended = true;
    const { backEnd, deviceName } = this.there;
    try {
      await this.#steps().removeExport.executeWithOptions({ summary: `end the export of ${deviceName}: it hangs` }, [
        { backEnd, exportName: deviceName, cut: true },
      ]);
    } catch (error) {
      if (isCancellation(error)) throw error;
      this.#run.waitFor(`the storage node of ${backEnd}: ${reasonOf(error).message}`);
    }
  }

  async restoreIfEnded(): Promise<void> {
    while (this.#ended) {
      try {
        await this.export();
      } catch (error) {
        this.#run.waitFor(
          `the storage node of ${this.there.backEnd}: the guest is on it, its export is down: ${reasonOf(error).message}`,
        );
        await sleep('15s');
      }
    }
    this.#run.waitFor(null);
  }

  #steps(patienceSeconds = this.#run.request.nodeTimeoutSeconds) {
    return storageSteps(nodeOf(this.there.backEnd), patienceSeconds);
  }
}

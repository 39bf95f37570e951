import { setTimeout as sleep } from 'node:timers/promises';
import type { FerryErrorType } from '../../model/errors.ts';

/** What whoever asks may be told while the registry has forgotten something, or a node's disks have just been lost. */
const tellsOfUpheaval: ReadonlySet<FerryErrorType> = new Set([
  'NeedsRepair',
  'DeviceLost',
  'VolumeNotFound',
  'SnapshotNotFound',
  'AttachmentNotFound',
  'MigrationNotFound',
  'BackEndNotFound',
  'Fenced',
  'NotSwitched',
  'NotProven',
  'NotOwned',
  'WrongDevice',
  'SizeMismatch',
  'DeviceExists',
  'DeviceMissing',
  'ParkedForOperator',
]);

/** How long between two looks whether an upheaval is over. Milliseconds. */
const lookEveryMs = 200;

/** A moment, as far as upheavals go. */
export interface Moment {
  readonly began: number;
  readonly isUpheaval: boolean;
}

/**
 * What all lives know of the upheavals: what befalls the whole system so that something which was acknowledged may be forgotten, though no
 * byte of it. An upheaval lasts until its operator has made everything good.
 */
export class Past {
  /** Of volumes that their tenants have told Ferry to delete: nobody misses them. */
  readonly unwanted = new Set<string>();
  /** Of volumes whose only device was lost with its disks, and which were told by name. */
  readonly lost = new Set<string>();
  /** Devices that were lost with their disks. */
  readonly lostDevices = new Set<string>();
  /** Of volumes that were ever moved without a proof that their bytes are the same. */
  readonly unproven = new Set<string>();
  #began = 0;
  #isUpheaval = false;
  #peaceful = 0;

  async upheaval(work: () => Promise<void>): Promise<void> {
    while (this.#peaceful > 0) await sleep(lookEveryMs);
    this.#began += 1;
    this.#isUpheaval = true;
    await work();
    // One that could not be made good goes on for ever.
    this.#isUpheaval = false;
  }

  now(): Moment {
    return { began: this.#began, isUpheaval: this.#isUpheaval };
  }

  /** Whether there was no upheaval at any time since. */
  isQuietSince({ began, isUpheaval }: Moment): boolean {
    return !isUpheaval && !this.#isUpheaval && began === this.#began;
  }

  /** Whether an upheaval since then, or at that time, may be why somebody was answered so. */
  explains(since: Moment, type: FerryErrorType): boolean {
    // A volume that something was done with all the while is looked at only when that is over.
    if (type === 'NeedsRepair' && this.#began > 0) return true;
    return !this.isQuietSince(since) && tellsOfUpheaval.has(type);
  }

  /** Resolves when there is no upheaval. */
  async quiet(): Promise<void> {
    while (this.#isUpheaval) await sleep(lookEveryMs);
  }

  /** Holds the next upheaval off while it works: for who was disturbed again and again, and would never see what does not go away by itself. */
  async peacefully<T>(work: () => Promise<T>): Promise<T> {
    this.#peaceful += 1;
    try {
      return await work();
    } finally {
      this.#peaceful -= 1;
    }
  }

  /** What is seen while there is no upheaval from beginning to end; `look` is repeated until then. */
  async steadily<T>(look: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.quiet();
      const since = this.now();
      try {
        const seen = await look();
        if (this.isQuietSince(since)) return seen;
      } catch (error) {
        if (this.isQuietSince(since)) throw error;
      }
    }
  }
}

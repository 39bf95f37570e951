import type { DriverKind } from '../../model/back-end.ts';
import type { FerryError } from '../../model/errors.ts';
import type { StorageMark, StorageSeen } from '../../model/storage-identity.ts';
import type { DeviceUser } from './device-users.ts';

/** A logical volume or file on a back end, as the device itself tells it. */
export interface Device {
  /** Name on the back end, e.g. `volume-<name_id>`. */
  readonly name: string;
  /** What to open: `/dev/VG/LV`, or the file's path. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  /** What no other device ever has, whatever its name: the UUID of a logical volume; of a file one that is kept with its tags. */
  readonly identity: string;
}

/** What a device must be for a change to be made to it. It is looked at under the lock under which the change is made. */
export interface Expected {
  /** Not given: of any identity; for devices that are known by a tag that no other ever has, or from before identities were known. */
  readonly identity?: string | undefined;
  readonly tags: readonly string[];
  /** Tags that it must not carry. */
  readonly not?: readonly string[] | undefined;
  /** Throws when the change is not wanted any more: asked last, right before it is made. For changes after which the device is what it was. */
  readonly stillWanted?: (() => Promise<void>) | undefined;
}

/** What is on a device, or around it, beside its bytes. */
export interface Surroundings {
  readonly device: Device;
  /** The snapshots that hang on it, whoever made them. */
  readonly snapshots: readonly string[];
  /** Who has it open, or is on top of it. */
  readonly users: readonly DeviceUser[];
  /** False: it cannot be read before it is activated. */
  readonly active: boolean;
  /** Changes with every write, where the storage tells of them; null where it does not. */
  readonly lastWrite: string | null;
}

/** A device that carries none of Ferry's tags, and what keeps it from becoming a volume; null when nothing does. */
export interface Stranger {
  readonly device: Device;
  readonly obstacle: string | null;
  /** The snapshots that hang on it, when they alone keep it from that: who knows them all may take them along. */
  readonly snapshots?: readonly string[];
}

/** What a device that is made ours hangs together with. */
export interface Kin {
  /** It is a snapshot of this device, where the storage knows what is one. */
  readonly snapshotOf?: string | undefined;
  /** It may have these snapshots, and no others: they are made ours next. */
  readonly snapshots?: readonly string[] | undefined;
  /** As of `Expected`. */
  readonly stillWanted?: (() => Promise<void>) | undefined;
}

/**
 * One back end's storage. Every method may be repeated, may have run half before, and asks the device: nothing is remembered
 * between calls. Errors are `FerryError`s; a missing volume group or directory is `BackEndUnavailable` from every method, and so is a
 * storage that is not this back end's own, as far as the driver was given who admits it.
 *
 * Ownership is by identity and tags (`ferry.volume=<id>`, `ferry.migration=<id>`): a driver changes or deletes a device only if it is
 * what the caller expects. Another identity under that name: `WrongDevice`; other tags: `NotOwned`; untouched both times.
 */
export interface VolumeDriver {
  readonly kind: DriverKind;

  /** The volume group, the thin pool in it, or the directory. Two back ends with the same are one storage under two names. */
  readonly place: string;

  /** Where a device's name is unique. Of two back ends with the same, one cannot have a name that the other has. */
  readonly namespace: string;

  /** Whether a device takes room only as it is written to. */
  readonly thin: boolean;

  /** Whether zeros that somebody writes to a device take room like any other bytes: it cannot unmap what it is asked to zero. */
  readonly zerosTakeRoom: boolean;

  /** What the storage tells of itself, also when it is not this back end's own. */
  identify(): Promise<StorageSeen>;

  /**
   * Writes Ferry's mark into the storage, whoever's it is, in the place of `instead`; null: of none. `BackEndUnavailable` when there is
   * another one meanwhile: nothing was changed.
   */
  mark(mark: StorageMark, instead: StorageMark | null): Promise<void>;

  /**
   * Total and free bytes for new volumes; and, where there is such a thing, why nothing may be placed although what is there can be read,
   * and the names of those devices that cannot: they lie on a disk that is lost.
   */
  capacity(): Promise<{
    totalBytes: number;
    freeBytes: number;
    placementFault?: string | null;
    lostDevices?: readonly string[];
  }>;

  /** Why writes to devices that are there fail or hang: `InsufficientSpace` when all of them have run out of room. Null: not for that. */
  exhaustion(): Promise<FerryError | null>;

  /**
   * Makes a device of exactly `sizeBytes` (rounded up to whole extents is an error: `SizeMismatch`) that carries `tags`.
   * Already there with all of `tags` and that size: returned as it is. There without them: `DeviceExists`, untouched.
   * No room: `InsufficientSpace`, and nothing is left. With `zero`, every byte reads as zero on return; without it the device
   * may show stale bytes unless `readsZero` of the answer says otherwise. `readsZero` is said only of a device that this
   * very call made, or that is known not to have been written to since.
   */
  create(spec: {
    name: string;
    sizeBytes: number;
    tags: readonly string[];
    zero: boolean;
  }): Promise<Device & { readsZero: boolean }>;

  /**
   * Makes `spec.name` of the same bytes as `from`, a device of another back end of this kind and node that nobody writes to, without
   * copying them; both share them until one is deleted. Null when this storage cannot: nothing was made. There already: as `create`.
   */
  share(spec: { name: string; sizeBytes: number; tags: readonly string[] }, from: Device): Promise<Device | null>;

  /** The device of that name, or null. */
  find(name: string): Promise<Device | null>;

  /** Every device of this back end, Ferry's and others'. */
  list(): Promise<Device[]>;

  /** What is around the device of that name, or null when there is none. */
  surroundings(name: string): Promise<Surroundings | null>;

  /** The same snapshots alone: without a look at all processes for who uses it. None either where there is no such device. */
  snapshots(name: string): Promise<readonly string[]>;

  /**
   * Lets nobody begin to write to the device, if it is the expected one, until it is released: it is read-only, and marked as held by the
   * migration. Who has it open for writing already is not kept from it in every case: look at its surroundings afterwards. An inactive
   * one is activated. Held by another migration: taken over. Read-only by somebody else's will: it stays so, and is not marked.
   * Missing: `DeviceMissing`.
   */
  hold(name: string, expected: Expected, migrationId: string): Promise<void>;

  /** Ends the hold of the migration: it can be written to, and is as active, as before. Not there, or not held by it: nothing happens. */
  release(name: string, migrationId: string): Promise<void>;

  /**
   * Activates the device and ends whatever hold a crash has left on it: for who is to use it now. Not there: nothing happens. `stillWanted`
   * is asked right before a hold is ended: a migration may have it by now.
   */
  makeReady(name: string, stillWanted?: () => Promise<void>): Promise<void>;

  /**
   * Deletes the device if it is the expected one. Already gone: nothing happens. Snapshots hang on it, whoever
   * made them: `VolumeHasSnapshots`, and all stay.
   * Open (exported, used by a guest): `DeviceInUse`, and it stays whole; one that shares its bytes goes, as they stay with the other.
   */
  delete(name: string, expected: Expected): Promise<void>;

  /** Takes `remove` off and puts `add` on, if it is the expected device; either may already be so. Missing device: `DeviceMissing`. */
  retag(name: string, expected: Expected, change: { add: readonly string[]; remove: readonly string[] }): Promise<void>;

  /**
   * Makes the device, if it is the expected one, `sizeBytes` large; the new bytes read as zero on return, whatever was on that disk
   * before. It may have that size already. Larger already, or no whole extents: `SizeMismatch`. Open: `DeviceInUse`. With
   * snapshots that share its writes (LVM without a thin pool): `VolumeHasSnapshots`; others stay as large as they are. No room: `InsufficientSpace`, and its size is what it was.
   */
  extend(name: string, sizeBytes: number, expected: Expected): Promise<void>;

  /**
   * Makes `snapshotName`, which carries `tags`, with the bytes that the device has at one moment, as a device of its own:
   * `delete` deletes it. Already there with all of `tags`: nothing happens. There without them: `DeviceExists`. No such device:
   * `DeviceMissing`. Open, where the back end cannot take all of its bytes at one moment: `DeviceInUse`. `stillWanted`: as of `Expected`.
   */
  snapshot(
    name: string,
    snapshotName: string,
    tags: readonly string[],
    stillWanted?: () => Promise<void>,
  ): Promise<void>;

  /** Every device without tags of Ferry's, and whether it could be adopted. */
  strangers(): Promise<Stranger[]>;

  /**
   * Makes a stranger ours: renames it and puts `tags` on; its bytes are not touched. Already there under the new name with all
   * of `tags`: nothing happens. Not there: `DeviceMissing`. The new name is taken: `DeviceExists`. Something is in the way:
   * `NotOwned`, or `DeviceInUse`.
   */
  adopt(name: string, newName: string, tags: readonly string[], kin?: Kin): Promise<void>;

  /**
   * The reverse: all of Ferry's tags come off and the device, if it carries `tag`, gets a name that may be the old one. Not there,
   * or already so: nothing happens; adopted only half, under either name: undone. `stillWanted`: as of `Expected`.
   */
  disown(name: string, newName: string, tag: string, stillWanted?: () => Promise<void>): Promise<void>;
}

/**
 * The closed list of what Ferry may refuse or fail with. The type is for machines (it crosses Temporal as
 * `ApplicationFailure.type`, and the CLI's `--json`), the message for people.
 */
export const ferryErrorTypes = [
  // refusals: nothing was done
  'InvalidInput', // an argument is malformed; the message names it
  'Forbidden', // the caller's roles do not allow it
  'VolumeNotFound', // no such volume, or not visible to the caller
  'BackEndNotFound', // no such back end is registered
  'BackEndDisabled', // nothing is allocated to a disabled back end
  'BackEndDown', // no heartbeat for a while
  'NeedsRepair', // the registry and the devices do not agree about the volume or back end; see ferry repair
  'SameBackEnd', // the destination is where the volume is
  'VolumeMigrating', // claimed by a migration; details say by whom and how far
  'VolumeBusy', // another operation is under way on the volume
  'VolumeInUse', // somebody has the volume's device open, or its export, though no attachment says so; details say who
  'VolumeHasSnapshots', // volumes with snapshots do not move
  'VolumeStatusRefused', // status does not allow the operation
  'InsufficientSpace', // the back end has not enough free capacity
  'QuotaExceeded', // the tenant has as much as it may have; details say of what
  'TransferNotFound', // nobody gives a volume away under that id
  'WrongTransferKey', // the key is not the one that its giver was told
  'VolumeTypeNotFound', // no such volume type
  'VolumeTypeExists', // there is a volume type of that name already
  'AccessExists', // the tenant may have volumes of the type already
  'AccessNotFound', // the tenant may not have volumes of the type
  'VolumeTypeInUse', // volumes have the type, or are being moved to it
  'CapabilityMissing', // the back end lacks what the volume's type asks for
  'SameVolumeType', // the volume has that type already
  'MigrationNeeded', // the volume cannot have the type where it is, and nobody said that it may move
  'MigrationRefused', // one or more of the above, all in details.reasons
  'EvacuationRefused', // it cannot be carried out as planned; details say which volumes and why
  'NotEvacuating', // asked about an evacuation that does not run
  'NotMigrating', // asked about a migration that does not run
  'PastPointOfNoReturn', // a cancel after the switch
  'MigrationNotFound', // no migration record of that id or volume
  'SourceNotKept', // there is no source to go back to: it was not kept, or not for so long
  'AttachmentNotFound', // no such attachment
  'SnapshotNotFound', // no such snapshot
  'InstanceNotFound', // the hypervisor has no such instance
  'InstanceNotReady', // the instance's state does not allow the operation
  // failures: the step did not succeed
  'DeviceExists', // a device of that name exists and is not ours
  'DeviceMissing', // a device that must be there is not
  'DeviceLost', // part of the device lies on a disk that is lost
  'DeviceInUse', // the device is open elsewhere: exported, or in use by a guest
  'NotOwned', // the device does not carry the tag that would let us touch it
  'WrongDevice', // another device than the one that is meant has that name
  'NotProven', // the device that holds the volume now has not shown that it does: nothing else of the volume is deleted
  'SizeMismatch', // a device's size is not what the registry says
  'ChecksumMismatch', // the destination does not hold what the source served
  'VolumeWrittenSince', // the kept source does not hold what the volume holds now
  'SourceUnreachable', // the source's export cannot be reached
  'SourceReadFailed', // the source device gave an I/O error
  'DestinationWriteFailed', // the destination device gave an I/O error
  'NoProgress', // no byte moved for too long
  'NotSwitched', // the registry has forgotten a switch that was committed
  'Fenced', // the claim is no longer ours: another epoch, or released
  'NodeUnavailable', // no worker took the step in time: the node is down or stopped
  'ToolFailed', // an external program failed; details hold its name, exit code, last words
  'BackEndUnavailable', // the volume group or directory is not there
  'ServiceUnreachable', // Temporal or Postgres cannot be reached
  'Unexpected', // a bug of Ferry's, or what Postgres refuses for good; details hold the code
  'Cancelled', // the migration was cancelled
  'MirrorFailed', // the hypervisor's mirror ended without reaching the destination
  'Terminated', // its workflow was ended from outside; the repair finished it or took it back
  'ParkedForOperator', // the truth cannot be told by machine; both volumes are kept
] as const;

export type FerryErrorType = (typeof ferryErrorTypes)[number];

/** Types that no retry can cure: an activity that throws one is not tried again. */
const retryableTypes: ReadonlySet<FerryErrorType> = new Set([
  'SourceUnreachable',
  'NoProgress',
  'ToolFailed',
  'DeviceInUse',
  'BackEndUnavailable',
  'ServiceUnreachable',
  'NodeUnavailable',
]);

/** One reason, as data: what a refusal or failure says to machines and people. */
export interface Reason {
  type: FerryErrorType;
  message: string;
  details?: Record<string, unknown>;
}

/** Thrown for everything Ferry itself refuses or finds wrong. Anything else that is thrown is a bug or the system's error. */
export class FerryError extends Error {
  readonly type: FerryErrorType;
  readonly details: Record<string, unknown>;

  constructor(type: FerryErrorType, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FerryError';
    this.type = type;
    this.details = details;
  }

  /** Whether the same step may succeed if it is tried again. */
  get retryable(): boolean {
    return retryableTypes.has(this.type);
  }
}

/** Several reasons as one error: the reason itself when there is one, else `MigrationRefused` with all of them. */
export function refusal(reasons: readonly [Reason, ...Reason[]]): FerryError {
  const [first] = reasons;
  if (reasons.length === 1) return new FerryError(first.type, first.message, first.details);
  return new FerryError('MigrationRefused', reasons.map((r) => r.message).join('\n'), { reasons });
}

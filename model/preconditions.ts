import { backEndState, type BackEnd } from './back-end.ts';
import type { Reason } from './errors.ts';
import { nodeOf } from './ids.ts';
import type { Flow } from './migration.ts';
import { deviceName } from './names.ts';
import { formatBytes } from './sizes.ts';
import { reasonLacking, type Asking } from './volume-type.ts';
import { statusOf, type Attachment, type Volume } from './volume.ts';

/** All that is known when it is decided whether a volume may move. */
export interface MigrationFacts {
  volumeId: string;
  destinationName: string;
  volume: Volume | null;
  source: BackEnd | null;
  destination: BackEnd | null;
  snapshots: number;
  /** A new volume that is being copied from it; absent or null: none is. */
  copy?: string | null;
  attachments: readonly Pick<Attachment, 'instanceId' | 'mode'>[];
  /** Bytes already promised to migrations that are on their way to the destination. */
  promisedBytes: number;
  /** The name of the type that the volume gets by the migration; null: it keeps its own. */
  newType: string | null;
  /** The type that it has in the end; null: none, or a new one that does not exist. */
  volumeType: Asking | null;
  /** The destination keeps a source of this volume under the name that it has. */
  nameIsKept: boolean;
  /** What of the volume's devices does not fit the registry; absent or null: nothing. */
  needsRepair?: string | null;
  now: Date;
}

/** What of it decides whether it may leave where it is. */
export type LeavingFacts = Pick<
  MigrationFacts,
  'volumeId' | 'volume' | 'snapshots' | 'copy' | 'attachments' | 'source' | 'needsRepair' | 'now'
>;

/**
 * Every reason why the volume may not move to the destination now; empty when it may. Follows Cinder's API checks
 * (`volume/api.py` `migrate_volume`, scheduler `backend_passes_filters`), but tells each cause, and all of them at once.
 */
export function reasonsNotToMigrate(facts: MigrationFacts): Reason[] {
  return [...reasonsNotToLeave(facts), ...typeReasons(facts), ...destinationReasons(facts)];
}

/** Every reason why the volume may not leave where it is, wherever it would go; empty when it may. */
export function reasonsNotToLeave(f: LeavingFacts): Reason[] {
  const v = f.volume;
  if (!v) return [{ type: 'VolumeNotFound', message: `Volume ${f.volumeId} could not be found.` }];
  const reasons: Reason[] = [];
  if (v.migrationOwner !== null) {
    reasons.push({
      type: 'VolumeMigrating',
      message: `Volume ${v.id} is already migrating (${v.migrationStatus ?? 'starting'}). Wait for it to end, or cancel it: ferry migration cancel ${v.id}`,
      details: { owner: v.migrationOwner, migrationStatus: v.migrationStatus },
    });
  }
  if (f.needsRepair != null) reasons.push(reasonInDoubt(v.id, f.needsRepair));
  if (v.operation !== null) {
    reasons.push({
      type: 'VolumeBusy',
      message: `Volume ${v.id} is busy: ${v.operation} is under way. Try again when it is done.`,
      details: { operation: v.operation },
    });
  }
  if (f.copy != null) reasons.push(reasonCopied(v.id, f.copy));
  const status = statusOf(v);
  if (status !== 'available' && status !== 'in-use') {
    reasons.push({
      type: 'VolumeStatusRefused',
      message: `Volume ${v.id} has status ${status}; it must be available or in-use to migrate.`,
      details: { status },
    });
  }
  if (f.snapshots > 0) {
    reasons.push({
      type: 'VolumeHasSnapshots',
      message: `Volume ${v.id} has ${f.snapshots} snapshot${f.snapshots === 1 ? '' : 's'}; delete them first.`,
      details: { snapshots: f.snapshots },
    });
  }
  if (f.attachments.filter((a) => a.mode === 'rw').length > 1) {
    reasons.push({
      type: 'VolumeStatusRefused',
      message: `Volume ${v.id} is attached to more than one writer; detach all but one first.`,
      details: { instances: f.attachments.map((a) => a.instanceId) },
    });
  }
  if (f.source && backEndState(f.source, f.now) === 'down') {
    reasons.push(downReason(f.source, 'source'));
  }
  if (f.source?.lostDevices.includes(deviceName(v))) {
    reasons.push({
      type: 'DeviceLost',
      message: `Volume ${v.id} cannot leave ${v.host}: ${deviceName(v)} lies on a disk that is lost${f.source.placementFault === null ? '' : ` (${f.source.placementFault})`}. Bring the disk back, or restore the volume from a backup.`,
      details: { volumeId: v.id, backEnd: v.host, deviceName: deviceName(v) },
    });
  }
  return reasons;
}

/** A volume of which devices and registry do not agree. */
export function reasonInDoubt(volumeId: string, why: string): Reason {
  return {
    type: 'NeedsRepair',
    message: `Volume ${volumeId} needs repair: ${why}. See: ferry repair --dry-run --volume ${volumeId}`,
    details: { volumeId },
  };
}

/** What changes or moves a volume's bytes waits for those who copy them. */
export function reasonCopied(volumeId: string, copy: string): Reason {
  return {
    type: 'VolumeBusy',
    message: `Volume ${volumeId} is busy: volume ${copy} is being copied from it. Try again when that is available.`,
    details: { volumeId, operation: 'copy', copy },
  };
}

function typeReasons({ newType, volumeType, volume }: MigrationFacts): Reason[] {
  if (newType === null) return [];
  if (volumeType === null) return [volumeTypeNotFound(newType)];
  return volume?.volumeType === newType ? [sameVolumeType(volume)] : [];
}

export function volumeTypeNotFound(nameOrId: string): Reason {
  return {
    type: 'VolumeTypeNotFound',
    message: `Volume type ${nameOrId} could not be found. See: ferry type list`,
    details: { volumeType: nameOrId },
  };
}

export function sameVolumeType(v: Pick<Volume, 'id' | 'volumeType'>): Reason {
  return {
    type: 'SameVolumeType',
    message: `Volume ${v.id} has type ${v.volumeType} already; nothing is to be done.`,
    details: { volumeId: v.id, volumeType: v.volumeType },
  };
}

function destinationReasons(f: MigrationFacts): Reason[] {
  const alreadyThere = f.volume !== null && f.volume.host === f.destination?.name;
  const reasons = reasonsNotToPlace({
    destinationName: f.destinationName,
    destination: f.destination,
    what: `volume ${f.volumeId}`,
    neededBytes: f.volume === null || alreadyThere ? 0 : f.volume.sizeBytes,
    promisedBytes: f.promisedBytes,
    volumeType: alreadyThere ? null : f.volumeType,
    now: f.now,
  });
  if (alreadyThere) {
    reasons.push({
      type: 'SameBackEnd',
      message: `Volume ${f.volumeId} is already on ${f.destinationName}; name another back end.`,
    });
  }
  return reasons;
}

/** Every reason why nothing of that size and type may be placed on a back end now; empty when it may. `what` is for the message. */
export function reasonsNotToPlace(
  p: Pick<MigrationFacts, 'destinationName' | 'destination' | 'promisedBytes' | 'volumeType' | 'now'> & {
    what: string;
    neededBytes: number;
  },
): Reason[] {
  const d = p.destination;
  if (!d) {
    return [{ type: 'BackEndNotFound', message: `Back end ${p.destinationName} is not known. See: ferry host list` }];
  }
  const reasons: Reason[] = [];
  if (d.disabled) {
    const why = d.disabledReason ? ` (${d.disabledReason})` : '';
    reasons.push({
      type: 'BackEndDisabled',
      message: `Back end ${d.name} is disabled${why}; nothing may be placed on it.`,
    });
  }
  if (backEndState(d, p.now) === 'down') reasons.push(downReason(d, 'destination'));
  if (d.placementFault !== null) {
    reasons.push({
      type: 'BackEndUnavailable',
      message: `Nothing may be placed on back end ${d.name}: ${d.placementFault}. What is there may leave.`,
      details: { backEnd: d.name },
    });
  }
  const lacking = reasonLacking(d, p.volumeType);
  if (lacking) reasons.push(lacking);
  const free = Math.max(0, d.freeBytes - p.promisedBytes);
  if (free < p.neededBytes) {
    reasons.push({
      type: 'InsufficientSpace',
      message: `Back end ${d.name} has ${formatBytes(free)} free; ${p.what} needs ${formatBytes(p.neededBytes)}.`,
      details: { freeBytes: free, neededBytes: p.neededBytes },
    });
  }
  return reasons;
}

export function downReason(b: BackEnd, role: 'source' | 'destination'): Reason {
  // A worker that tells of a fault runs.
  const why =
    b.fault === null
      ? `last heard of at ${b.heartbeatAt.toISOString()}. Start its worker: ferry worker storage (on ${nodeOf(b.name)})`
      : `${b.fault}. See: ferry host list --long`;
  return {
    type: 'BackEndDown',
    message: `The ${role} back end ${b.name} is down: ${why}`,
    details: { backEnd: b.name, role },
  };
}

/**
 * Which of the three flows would move the volume; the claim in SQL decides the same. `driverCanMove`: see `storageCanMove`. The storage
 * keeps the name: where that is a kept source's, the bytes are copied under a new one.
 */
export function chooseFlow(facts: {
  attached: boolean;
  forceHostCopy: boolean;
  driverCanMove: boolean;
  nameIsKept: boolean;
}): Flow {
  if (facts.attached) return 'generic-attached';
  return facts.driverCanMove && !facts.forceHostCopy && !facts.nameIsKept ? 'assisted' : 'generic-detached';
}

/** Whether the storage itself can move a volume between two back ends: both are on one node, and of one kind. */
export function storageCanMove(
  source: Pick<BackEnd, 'node' | 'driver'> | null,
  destination: Pick<BackEnd, 'node' | 'driver'> | null,
): boolean {
  return source !== null && source.node === destination?.node && source.driver === destination.driver;
}

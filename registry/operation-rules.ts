import type { Reason } from '../model/errors.ts';
import type { Phase } from '../model/migration.ts';
import { reasonCopied, reasonInDoubt } from '../model/preconditions.ts';
import { shownStatus, statusOf, type ShownStatus, type Volume, type VolumeStatus } from '../model/volume.ts';

/** What happens to a volume besides migrations, one at a time. */
export type Operation =
  | 'create'
  | 'delete'
  | 'extend'
  | 'retype'
  | 'attach'
  | 'detach'
  | 'snapshot'
  | 'delete-snapshot'
  | 'revert'
  | 'manage-snapshot'
  | 'unmanage-snapshot'
  | 'manage'
  | 'unmanage';

/** Those that begin with a volume that is there. */
export type OperationOnVolume = Exclude<Operation, 'create' | 'manage'>;

interface Rule {
  /** The statuses from which it may begin, as people are told them. */
  readonly from: readonly ShownStatus[];
  /** With `force`: these as well. */
  readonly forced: readonly ShownStatus[];
  /** The status meanwhile; null: as it was. */
  readonly meanwhile: VolumeStatus | null;
  /** The status when it failed; null: as it was. */
  readonly failed: VolumeStatus | null;
  /** The volume must have neither attachments nor snapshots. */
  readonly bare: boolean;
  /** It may begin while new volumes are copied from this one: its bytes stay what and where they are. */
  readonly whileCopied: boolean;
  /** It may begin while devices and registry do not agree about the volume: it gives nobody what may be yesterday's, and makes nothing of it. */
  readonly inDoubt: boolean;
}

const deletable: readonly ShownStatus[] = ['available', 'error', 'error_deleting', 'error_extending'];

/** As in Cinder, but for what a migration forbids: that is the same for all, and no rule's business. */
export const rules: Readonly<Record<OperationOnVolume, Rule>> = {
  delete: {
    from: deletable,
    // Nothing is under way, whatever is shown: that is asked besides.
    forced: shownStatus.options.filter((status) => !deletable.includes(status)),
    meanwhile: 'deleting',
    failed: 'error_deleting',
    bare: true,
    whileCopied: false,
    inDoubt: true,
  },
  extend: {
    from: ['available'],
    forced: [],
    meanwhile: 'extending',
    failed: 'error_extending',
    bare: true,
    whileCopied: false,
    inDoubt: true,
  },
  retype: {
    from: ['available', 'in-use'],
    forced: [],
    meanwhile: 'retyping',
    failed: null,
    bare: false,
    whileCopied: true,
    inDoubt: true,
  },
  // `attaching`, `detaching`: what a volume shows that was reserved for it.
  // Forced: by the client that reserved it for this very attachment.
  attach: {
    from: ['available', 'attaching'],
    forced: ['reserved'],
    meanwhile: 'attaching',
    failed: null,
    bare: false,
    whileCopied: false,
    inDoubt: false,
  },
  detach: {
    from: ['in-use', 'attaching', 'detaching'],
    forced: [],
    meanwhile: 'detaching',
    failed: null,
    bare: false,
    whileCopied: false,
    inDoubt: true,
  },
  snapshot: {
    from: ['available'],
    forced: ['in-use'],
    meanwhile: 'snapshotting',
    failed: null,
    bare: false,
    // Back ends without snapshots of their own copy a file that nobody has open.
    whileCopied: false,
    inDoubt: false,
  },
  'delete-snapshot': {
    from: ['available', 'in-use', 'error', 'error_deleting'],
    forced: [],
    meanwhile: null,
    failed: null,
    bare: false,
    whileCopied: true,
    inDoubt: true,
  },
  'manage-snapshot': {
    from: ['available', 'in-use'],
    forced: [],
    meanwhile: null,
    failed: null,
    bare: false,
    whileCopied: true,
    inDoubt: false,
  },
  'unmanage-snapshot': {
    from: ['available', 'in-use'],
    forced: [],
    meanwhile: null,
    failed: null,
    bare: false,
    whileCopied: true,
    inDoubt: true,
  },
  // From `error`: an earlier one has failed, and the snapshot is all that there is.
  revert: {
    from: ['available', 'error'],
    forced: [],
    meanwhile: 'reverting',
    failed: 'error',
    bare: true,
    whileCopied: false,
    inDoubt: false,
  },
  unmanage: {
    from: ['available', 'error', 'error_deleting', 'error_extending'],
    forced: [],
    meanwhile: null,
    failed: null,
    bare: true,
    whileCopied: false,
    inDoubt: false,
  },
};

export function mayBeginFrom(operation: OperationOnVolume, force: boolean): readonly ShownStatus[] {
  const rule = rules[operation];
  return force ? [...rule.from, ...rule.forced] : rule.from;
}

export interface OperationFacts {
  volume: Volume;
  /** Of the migration that claims the volume. */
  phase: Phase | null;
  attachments: number;
  snapshots: number;
  /** A new volume that is being copied from it; null: none is. */
  copy: string | null;
  /** What the devices say otherwise than the registry; null: nothing. */
  needsRepair: string | null;
}

/** Who holds the volume, as a reason why something else may not happen to it now; null when nobody does. */
export function reasonHeld(operation: string, v: Volume, phase: Phase | null): Reason | null {
  if (v.migrationOwner !== null) {
    return {
      type: 'VolumeMigrating',
      message: `Volume ${v.id} is migrating (${phase ?? v.migrationStatus}, since ${v.migrationSince?.toISOString()}); ${operation} is refused until the migration ends. Wait, or cancel it: ferry migration cancel ${v.id}`,
      details: {
        volumeId: v.id,
        operation,
        owner: v.migrationOwner,
        phase,
        migrationStatus: v.migrationStatus,
        since: v.migrationSince?.toISOString() ?? null,
      },
    };
  }
  if (v.operation !== null) {
    return {
      type: 'VolumeBusy',
      message: `Volume ${v.id} is busy: ${v.operation} is under way. Try again when it is done.`,
      details: { volumeId: v.id, operation: v.operation, owner: v.operationOwner },
    };
  }
  return null;
}

/** What is under way must not go on while devices and registry do not agree about the volume. */
export function isRefusedInDoubt(operation: string | null): boolean {
  return operation !== null && Object.hasOwn(rules, operation) && !rules[operation as OperationOnVolume].inDoubt;
}

/** Why the operation may not begin now, the weightiest reason; null when it may. */
export function reasonNotToBegin(operation: OperationOnVolume, force: boolean, f: OperationFacts): Reason | null {
  const v = f.volume;
  const held = reasonHeld(operation, v, f.phase);
  if (held) return held;
  const from = mayBeginFrom(operation, force);
  const status = statusOf(v);
  if (!from.includes(status)) {
    return {
      type: 'VolumeStatusRefused',
      message: `Volume ${v.id} has status ${status}; for ${operation} it must be ${from.join(' or ')}.`,
      details: { volumeId: v.id, operation, status, allowed: from },
    };
  }
  if (f.copy !== null && !rules[operation].whileCopied) return reasonCopied(v.id, f.copy);
  if (f.needsRepair !== null && !rules[operation].inDoubt) return reasonInDoubt(v.id, f.needsRepair);
  if (!rules[operation].bare) return null;
  if (f.attachments > 0) {
    return {
      type: 'VolumeStatusRefused',
      message: `Volume ${v.id} is attached; detach it first.`,
      details: { volumeId: v.id, operation, attachments: f.attachments },
    };
  }
  if (f.snapshots > 0) {
    return {
      type: 'VolumeHasSnapshots',
      message: `Volume ${v.id} has ${f.snapshots} snapshot${f.snapshots === 1 ? '' : 's'}; delete them first.`,
      details: { volumeId: v.id, snapshots: f.snapshots },
    };
  }
  return null;
}

import { connection, type DevicePlace } from './connection.ts';
import { nodeOf } from './ids.ts';
import type { Flow, Outcome, Phase } from './migration.ts';
import { attachmentExportName } from './names.ts';
import type { Origin } from './origin.ts';

/** Where an export is. */
interface ExportPlace {
  readonly host: string;
  readonly port: number;
  readonly exportName: string;
  readonly tls: boolean;
}

/** How a device is reached: an export, or a device or file of the same machine. */
export type OfferedSource = { readonly kind: 'nbd'; readonly address: ExportPlace } | DevicePlace;

/** An export as an offer: where it is, and nothing else that its address may say. */
export function exportOffer({ host, port, exportName, tls }: ExportPlace): OfferedSource {
  return { kind: 'nbd', address: { host, port, exportName, tls } };
}

/** What the registry has of a volume. */
export interface VolumeFacts {
  volume: {
    id: string;
    host: string;
    deviceName: string;
    sizeBytes: number;
    generation: number;
    operation: string | null;
    operationOwner: string | null;
    needsRepair: boolean;
    /** It needs repair, and what is under way may not be done to it then. */
    isDoubted: boolean;
  } | null;
  attachments: {
    id: string;
    instanceId: string;
    computeHost: string;
    mode: 'rw' | 'ro';
    status: 'reserved' | 'attached' | 'detaching';
    source: OfferedSource | null;
  }[];
  snapshots: { id: string; status: string }[];
  /** Operations on it that are over. */
  ended: { operation: string; outcome: string }[];
}

/** What the registry has of a migration. */
export interface MigrationFacts {
  id: string;
  volumeId: string;
  epoch: number;
  flow: Flow;
  phase: Phase;
  source: string;
  sourceDevice: string;
  destination: string;
  destinationDevice: string;
  totalBytes: number;
  outcome: Outcome | null;
  isSwitched: boolean;
  /** Its claim holds the volume. */
  isHeld: boolean;
}

/** Whom an export of some name serves. */
export interface ConcernedExport {
  attachments: { status: 'reserved' | 'attached' | 'detaching'; exportName: string | null }[];
  migrations: { phase: Phase; isSwitched: boolean }[];
}

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** Why the registry does not want it done; null: it does. */
export type Objection = string | null;

const inDoubt = ({ id }: { id: string }) =>
  `volume ${id} needs repair, its devices and the registry do not agree; see: ferry repair --dry-run`;

/**
 * The operation is under way on the volume, which is on that device. Of a step that names its operation's owner: that one is, and not
 * another of the same kind that came after it.
 */
export function notUnderWay(
  operation: string,
  { volume }: VolumeFacts,
  at: OnDevice & { owner?: string | undefined },
): Objection {
  if (!volume) return 'the registry knows no such volume';
  if (volume.operation !== operation) return `no ${operation} of volume ${volume.id} is under way`;
  if (at.owner !== undefined && volume.operationOwner !== at.owner) return `another ${operation} is under way`;
  if (volume.isDoubted) return inDoubt(volume);
  return volume.host === at.backEnd && volume.deviceName === at.deviceName
    ? null
    : `volume ${volume.id} is ${volume.deviceName} on ${volume.host}`;
}

/** Bytes are being copied onto that device of the volume: it is being made, or goes back to a snapshot. */
export function notFilling(facts: VolumeFacts, at: Parameters<typeof notUnderWay>[2]): Objection {
  return notUnderWay(facts.volume?.operation === 'revert' ? 'revert' : 'create', facts, at);
}

/** The volume that is being made is copied from that device. `made`: what it is made from by the registry; null: from nothing. */
export function notItsOrigin(made: Origin | null, at: OnDevice): Objection {
  if (!made) return 'the volume is made from nothing else';
  return made.backEnd === at.backEnd && made.deviceName === at.deviceName
    ? null
    : `the volume is made from ${made.deviceName} on ${made.backEnd}`;
}

/** The volume is deleted, or forgotten: what was its device is nobody's. */
export function isGone({ volume, ended }: VolumeFacts): boolean {
  const gone = (each: VolumeFacts['ended'][number]) =>
    (each.operation === 'delete' || each.operation === 'unmanage') && each.outcome === 'success';
  return volume === null && ended.some(gone);
}

/** The volume never came to be: its row was taken back after a device was to become it. */
export function neverCameToBe({ volume, ended }: VolumeFacts): Objection {
  if (volume) return `there is a volume ${volume.id}`;
  const tried = ended.filter(({ operation }) => operation === 'manage');
  if (tried.length > 0 && tried.every(({ outcome }) => outcome !== 'success')) return null;
  return 'the registry knows of no failed attempt to manage a device as that volume';
}

/** The attachment is being made, and asks for this export. */
export function notToBeExported(
  facts: VolumeFacts,
  at: OnDevice & { owner?: string | undefined; exportName: string; writable: boolean },
): Objection {
  const why = notUnderWay('attach', facts, at);
  if (why !== null) return why;
  const wanted = facts.attachments.find(({ id }) => attachmentExportName(id) === at.exportName);
  if (wanted?.status !== 'reserved') return `no attachment of the volume waits for export ${at.exportName}`;
  return at.writable && wanted.mode !== 'rw' ? 'the attachment is read-only' : null;
}

/** The attachment that puts the volume into that instance of that hypervisor is being made. */
export function notToBeAttached(
  facts: VolumeFacts,
  to: { instance: string; computeHost: string; mode: 'rw' | 'ro' },
): Objection {
  if (facts.volume?.operation !== 'attach') return 'no attach of the volume is under way';
  // Found after it was reserved for this attachment.
  if (facts.volume.isDoubted) return inDoubt(facts.volume);
  const wanted = facts.attachments.find((a) => a.instanceId === to.instance && a.computeHost === to.computeHost);
  if (wanted?.status !== 'reserved') return `no attachment of the volume to ${to.instance} is being made here`;
  return wanted.mode === to.mode ? null : `the attachment is ${wanted.mode}`;
}

/** The attachment ends, or came to nothing. */
export function notToBeDetached(facts: VolumeFacts, from: { instance: string; computeHost: string }): Objection {
  const its = facts.attachments.find((a) => a.instanceId === from.instance && a.computeHost === from.computeHost);
  if (!its) return `the volume has no attachment to ${from.instance} here`;
  return its.status === 'attached' ? `the volume is attached to ${from.instance}, and stays so` : null;
}

/** The migration has the volume, and still goes forward. */
function notMigrating(m: MigrationFacts | null, of: { volumeId?: string | undefined }): Objection {
  if (!m?.isHeld) return 'no such migration has the volume';
  if (of.volumeId !== undefined && m.volumeId !== of.volumeId) return `migration ${m.id} is another volume's`;
  return m.phase === 'undoing' ? `migration ${m.id} goes back` : null;
}

/** The device is the one that the migration moves its volume to. */
export function notItsDestination(
  m: MigrationFacts | null,
  at: OnDevice & { volumeId?: string | undefined },
): Objection {
  const why = notMigrating(m, at);
  if (why !== null) return why;
  return m!.destination === at.backEnd && m!.destinationDevice === at.deviceName
    ? null
    : `migration ${m!.id} moves its volume to ${m!.destinationDevice} on ${m!.destination}`;
}

/** The device is the one that the migration moves its volume from. */
export function notItsSource(m: MigrationFacts | null, at: OnDevice & { volumeId?: string | undefined }): Objection {
  const why = notMigrating(m, at);
  if (why !== null) return why;
  return m!.source === at.backEnd && m!.sourceDevice === at.deviceName
    ? null
    : `migration ${m!.id} moves its volume from ${m!.sourceDevice} on ${m!.source}`;
}

/** Bytes are moved so, onto a device that does not hold the volume yet. */
export function notMovedSo(m: MigrationFacts, flow: Flow): Objection {
  if (m.flow !== flow) return `migration ${m.id} moves its volume otherwise`;
  return m.isSwitched ? `migration ${m.id} has moved its volume already` : null;
}

/** What a migration made is taken back only on its way back, or when it is over. */
export function stillNeeded(m: MigrationFacts | null): Objection {
  if (!m) return 'the registry knows no such migration';
  if (m.outcome !== null || m.phase === 'undoing' || m.isSwitched) return null;
  return `migration ${m.id} is under way`;
}

/** Phases in which all bytes are on the destination. */
const whole: ReadonlySet<Phase> = new Set(['verifying', 'switching', 'cleaning-up']);

/**
 * The registry has the volume on that device; or is about to, where it has forgotten the switch: a standby took over without the last
 * commits, and the migration will write it down again.
 */
export function notSwitchedTo(
  facts: VolumeFacts,
  m: MigrationFacts | null,
  to: OnDevice & { generation: number },
): Objection {
  const { volume } = facts;
  if (volume?.host === to.backEnd && volume.deviceName === to.deviceName && volume.generation === to.generation)
    return null;
  const isNext = m?.isHeld && !m.isSwitched && notItsDestination(m, to) === null && m.epoch === to.generation;
  if (isNext && (whole.has(m.phase) || m.flow === 'assisted')) return null;
  return 'the registry does not have the volume there';
}

/** The volume goes back to its source because its new device is lost, or an operator has chosen among devices that do not agree. */
export function notToBeRevived(
  facts: VolumeFacts,
  m: MigrationFacts | null,
  at: OnDevice & { generation: number },
): Objection {
  if (facts.volume === null || facts.volume.needsRepair) return null;
  const isSource = m?.isHeld && m.source === at.backEnd && m.sourceDevice === at.deviceName;
  if (isSource && at.generation === m.epoch + 1 && (m.isSwitched || m.phase === 'undoing')) return null;
  return 'the registry and the devices of the volume agree, and no migration goes back to it';
}

/**
 * The connection leads to that device, and to nothing else: what the registry has of it a hypervisor writes into its guests' definitions,
 * and a storage node exports again. `offered`: by the storage node's word; one that is not known has made no offer that is remembered.
 */
export function notReachedSo(
  told: unknown,
  of: OnDevice & { exportName: string; computeHost: string },
  offered: readonly OfferedSource[],
): Objection {
  const how = connection.safeParse(told).data;
  if (!how || how.backEnd !== of.backEnd || how.device !== of.deviceName)
    return `the connection is not to ${of.deviceName} on ${of.backEnd}`;
  const isItsOwn =
    how.protocol === 'nbd'
      ? how.exportName === of.exportName
      : how.path.endsWith(`/${of.deviceName}`) && nodeOf(of.backEnd) === of.computeHost;
  if (!isItsOwn) return `${of.deviceName} on ${of.backEnd} is not reached so`;
  const isOther = offered.some((each) =>
    each.kind === 'nbd'
      ? how.protocol === 'nbd' &&
        // Of an earlier attachment it says nothing of this one, of which the registry may have forgotten it.
        each.address.exportName === how.exportName &&
        (each.address.host !== how.host || each.address.port !== how.port)
      : how.protocol === 'local' && each.path !== how.path,
  );
  return isOther ? `the storage node of ${of.backEnd} has offered ${of.deviceName} otherwise` : null;
}

/** Somebody has the export by the registry: a guest, or a copy. */
export function isServing(exportName: string, { attachments, migrations }: ConcernedExport): Objection {
  if (attachments.some((a) => a.status === 'attached' && a.exportName === exportName))
    return `an attached volume is reached through export ${exportName}`;
  if (migrations.some((m) => !m.isSwitched && m.phase !== 'undoing')) return `a migration reads through ${exportName}`;
  return null;
}

/**
 * Names that several rooms must agree on: on devices, in Temporal, in tags. All pure and stable: they are stored. No workflow id has a
 * slash: Temporal's HTTP API cannot reach one that has.
 */

/** Where workflows and registry activities run. */
export const controlQueue = 'control';

/** The queue that only the storage worker on `node` polls. */
export function storageQueue(node: string): string {
  return `storage:${node}`;
}

/** The queue that only the compute worker beside the hypervisor `node` polls. */
export function computeQueue(node: string): string {
  return `compute:${node}`;
}

/** At most one workflow of this id runs: the admission lock of a volume's migration. */
export function migrationWorkflowId(volumeId: string): string {
  return `migrate-${volumeId}`;
}

/** At most one evacuation of a node or back end. */
export function evacuationWorkflowId(source: string): string {
  return `evacuate-${source}`;
}

/** At most one a node. */
export function decommissionWorkflowId(node: string): string {
  return `decommission-${node}`;
}

/** At most one at a time, of all zones. */
export const balanceWorkflowId = 'balance';

/** Clean-up that outlives its migration, because a node was away. */
export function cleanUpWorkflowId(migrationId: string): string {
  return `clean-up-${migrationId}`;
}

/** Removes the source that a migration has kept, when its time is over. */
export function keptSourceWorkflowId(migrationId: string): string {
  return `kept-source-${migrationId}`;
}

/** Ends a migration whose workflow is gone; at most one a volume. */
export function repairWorkflowId(volumeId: string): string {
  return `repair-${volumeId}`;
}

/** Tells events to a webhook; one for each. */
export function deliveryWorkflowId(webhook: string): string {
  return `deliver-${webhook}`;
}

/** The schedule that looks every minute for what nobody carries on. */
export const reconcileSchedule = 'reconcile';

/** An operation on a volume that touches devices: create, delete, ... */
export function operationWorkflowId(operation: string, volumeId: string): string {
  return `${operation}-${volumeId}`;
}

/** The volume's name on its back end (Cinder's default `volume_name_template`): `volume-<name_id or id>`. */
export function deviceName(volume: { id: string; nameId: string | null }): string {
  return `volume-${volume.nameId ?? volume.id}`;
}

/** Which device holds the volume, as the registry has it: what a step on it is told. */
export function liveDevice(volume: {
  id: string;
  nameId: string | null;
  host: string;
  generation: number;
  deviceIdentity: string | null;
}): { backEnd: string; deviceName: string; volumeId: string; generation: number; identity: string | null } {
  const { id: volumeId, host: backEnd, generation, deviceIdentity: identity } = volume;
  return { backEnd, deviceName: deviceName(volume), volumeId, generation, identity };
}

const volumeDevice = /^volume-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** The id that a volume's device is named after; null when it is no name of a volume's device. */
export function nameIdOf(device: string): string | null {
  return volumeDevice.exec(device)?.[1] ?? null;
}

/** A snapshot's name on its volume's back end. The underscore is Cinder's: lvm2 keeps names that begin with `snapshot` for itself. */
export function snapshotDeviceName(snapshotId: string): string {
  return `_snapshot-${snapshotId}`;
}

/** The export through which an attached volume is reached; one an attachment. */
export function attachmentExportName(attachmentId: string): string {
  return `attachment-${attachmentId}`;
}

import { asId, labelsOf, reasonNotLive, standingOf, unzeroedFrom } from '../../model/device.ts';
import { nameIdOf } from '../../model/names.ts';
import type { DeviceWitness } from '../../model/repair.ts';
import type { CurrentDevice } from '../../registry/leftovers.ts';
import type { Device, VolumeDriver } from './driver.ts';
import { heldBy } from './held-tags.ts';
import type { ExportAddress, Exports } from './exports.ts';

/** A device with Ferry's tags that is more, or less, than the device of a volume. */
export interface LeftoverDevice {
  backEnd: string;
  name: string;
  volumeId: string | null;
  migrationId: string | null;
  /** The migration that has kept it, by its tag. */
  keptBy: string | null;
  /** The migration that has made it read-only, by its tag; absent: an older worker answered. */
  heldBy?: string | null;
  /** What it says of itself. */
  witness: DeviceWitness;
  /** The registry has a volume on it. */
  current: boolean;
  /** The export through which somebody may write to it; null: there is none. */
  written: ExportAddress | null;
}

/** A place where the registry has a volume, and there is another device than it means, or none. */
export interface Mismatch {
  backEnd: string;
  name: string;
  volumeId: string;
  why: string;
  /** Null: there is none. */
  witness: DeviceWitness | null;
  /** Somebody may write to it, although the registry knows of no attachment. */
  isWritten: boolean;
}

/** An export that a migration made. */
export interface LeftoverExport {
  backEnd: string;
  name: string;
  /** The device that it shows, if that is one of the node's. */
  deviceName: string | null;
  migrationId: string;
}

/** What a node has that may belong to nobody, and what does not fit the registry. */
export interface Inventory {
  /** Those that could be looked at. */
  backEnds: string[];
  devices: LeftoverDevice[];
  mismatches: Mismatch[];
  exports: LeftoverExport[];
  /** Back ends that could not be looked at. */
  unseen: { backEnd: string; why: string }[];
}

export interface InventoryDependencies {
  drivers: ReadonlyMap<string, VolumeDriver>;
  exports: Exports;
  currentDevices: (backEnd: string) => Promise<ReadonlyMap<string, CurrentDevice>>;
}

/**
 * Looks at all back ends and exports of the node, and tells what is not simply the device of a volume: what carries a migration's tag or
 * that of a kept source, volumes' devices at which the registry has no volume, and volumes that the registry has where there is no such
 * device. The devices are read before the registry is asked: a device that is made meanwhile has its row before.
 */
export async function takeInventory(deps: InventoryDependencies): Promise<Inventory> {
  const found: Inventory = { backEnds: [], devices: [], mismatches: [], exports: [], unseen: [] };
  const places = new Map<string, { backEnd: string; deviceName: string }>();
  const exported = await deps.exports.list();
  for (const [backEnd, driver] of deps.drivers) {
    try {
      const devices = await driver.list();
      const current = await deps.currentDevices(backEnd);
      for (const device of devices) {
        places.set(device.path, { backEnd, deviceName: device.name });
        const leftover = leftoverOf(backEnd, device, current);
        const written = exported.find(({ path, writable }) => writable && path === device.path)?.address ?? null;
        if (leftover) found.devices.push({ ...leftover, written });
      }
      found.mismatches.push(...(await mismatches(deps, backEnd, devices, current)));
      const writers = unknownWriters(backEnd, devices, current, exported);
      // One may have been detached between the two looks.
      if (writers.length > 0) {
        const now = await deps.exports.list();
        found.mismatches.push(...unknownWriters(backEnd, devices, await deps.currentDevices(backEnd), now));
      }
      found.backEnds.push(backEnd);
    } catch (error) {
      found.unseen.push({ backEnd, why: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const { exportName, path, tags } of exported) {
    const { migrationId } = standingOf(tags);
    const [anyBackEnd] = deps.drivers.keys();
    const place = places.get(path);
    if (migrationId === null || anyBackEnd === undefined) continue;
    found.exports.push({
      backEnd: place?.backEnd ?? anyBackEnd,
      name: exportName,
      deviceName: place?.deviceName ?? null,
      migrationId,
    });
  }
  return found;
}

function leftoverOf(
  backEnd: string,
  device: Device,
  current: ReadonlyMap<string, CurrentDevice>,
): Omit<LeftoverDevice, 'written'> | null {
  const { name, tags } = device;
  const { volumeId, migrationId, keptBy } = standingOf(tags);
  const isCurrent = current.get(name)?.volumeId === volumeId;
  // Others with its tags (snapshots, say) are their owners' matter.
  const isVolume = volumeId !== null && nameIdOf(name) !== null;
  const holder = asId(heldBy(tags));
  const marks = [migrationId, keptBy, holder];
  if (marks.every((mark) => mark === null) && !(isVolume && !isCurrent)) return null;
  return {
    backEnd,
    name,
    volumeId,
    migrationId,
    keptBy,
    heldBy: holder,
    witness: witnessOf(device),
    current: isCurrent,
  };
}

/** Where the registry has a volume and the devices do not; looked at twice, as a volume may have been made or moved between the two looks. */
async function mismatches(
  { drivers, currentDevices }: InventoryDependencies,
  backEnd: string,
  devices: readonly Device[],
  current: ReadonlyMap<string, CurrentDevice>,
): Promise<Mismatch[]> {
  const byName = new Map(devices.map((device) => [device.name, device]));
  const suspects = [...current].filter(([name, row]) => whyWrong(row, byName.get(name) ?? null) !== null);
  if (suspects.length === 0) return [];
  const again = await Promise.all(suspects.map(([name]) => drivers.get(backEnd)!.find(name)));
  const now = await currentDevices(backEnd);
  return suspects.flatMap(([name], i) => {
    const [row, device] = [now.get(name), again[i] ?? null];
    const why = row ? whyWrong(row, device) : null;
    if (!row || why === null) return [];
    const witness = device && witnessOf(device);
    return [{ backEnd, name, volumeId: row.volumeId, why, witness, isWritten: false }];
  });
}

/** Volumes that somebody may write to through an export, of whom the registry knows nothing: it may have forgotten an attachment. */
function unknownWriters(
  backEnd: string,
  devices: readonly Device[],
  current: ReadonlyMap<string, CurrentDevice>,
  exported: Awaited<ReturnType<Exports['list']>>,
): Mismatch[] {
  return devices.flatMap((device): Mismatch[] => {
    const row = current.get(device.name);
    const open = exported.find(({ path, writable }) => writable && path === device.path);
    if (!row || !open || row.isHeld || row.isAttached || standingOf(device.tags).volumeId !== row.volumeId) return [];
    const why = `export ${open.exportName} (process ${open.pid}) lets somebody write to it, and the registry knows of no attachment`;
    return [{ backEnd, name: device.name, volumeId: row.volumeId, why, witness: witnessOf(device), isWritten: true }];
  });
}

/** Why the device is not the one that the registry means; null when it is, or when something is being done to it. */
function whyWrong(row: CurrentDevice, device: Device | null): string | null {
  if (row.isHeld) return null;
  // One whose device was never known may be a volume that could not be made.
  if (!device) return row.identity === null ? null : 'the registry has the volume here, and there is no such device';
  const reason = reasonNotLive(device, row);
  if (reason) return reason.message;
  // After an extension that failed either size may be there: its end is in the volume's status.
  if (row.sizeBytes === device.sizeBytes || row.isBetweenSizes) return null;
  return `it has ${device.sizeBytes} bytes, the registry says ${row.sizeBytes}`;
}

export function witnessOf({ identity, sizeBytes, tags }: Device): DeviceWitness {
  const { role, generation, migrationId, keptBy, retiredBy } = standingOf(tags);
  const isUnzeroed = unzeroedFrom(tags) !== null;
  return { identity, sizeBytes, isUnzeroed, role, generation, migrationId, keptBy, retiredBy, ...labelsOf(tags) };
}

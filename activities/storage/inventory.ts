import { keptTag, migrationTag, volumeTag } from '../../model/names.ts';
import type { VolumeDriver } from './driver.ts';
import type { Exports } from './exports.ts';

/** A device with Ferry's tags that is more, or less, than the device of a volume. */
export interface LeftoverDevice {
  backEnd: string;
  name: string;
  volumeId: string | null;
  migrationId: string | null;
  /** The migration that has kept it, by its tag; older workers do not tell. */
  keptBy?: string | null;
  /** The registry has a volume on it. */
  current: boolean;
}

/** An export that a migration made. */
export interface LeftoverExport {
  backEnd: string;
  name: string;
  /** The device that it shows, if that is one of the node's. */
  deviceName: string | null;
  migrationId: string;
}

/** What a node has that may belong to nobody. */
export interface Inventory {
  devices: LeftoverDevice[];
  exports: LeftoverExport[];
  /** Back ends that could not be looked at. */
  unseen: { backEnd: string; why: string }[];
}

/** Names that Ferry gives to volumes' devices. Others with its tags (snapshots, say) are their owners' matter. */
const volumeDevice = /^volume-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Looks at all back ends and exports of the node, and tells what is not simply the device of a volume: what carries a migration's tag or
 * that of a kept source, and volumes' devices at which the registry has no volume. The devices are read before the registry is asked: a device that is made
 * meanwhile has its row before.
 */
export async function takeInventory(deps: {
  drivers: ReadonlyMap<string, VolumeDriver>;
  exports: Exports;
  currentDevices: (backEnd: string) => Promise<ReadonlySet<string>>;
}): Promise<Inventory> {
  const found: Inventory = { devices: [], exports: [], unseen: [] };
  const places = new Map<string, { backEnd: string; deviceName: string }>();
  for (const [backEnd, driver] of deps.drivers) {
    try {
      const devices = await driver.list();
      const current = await deps.currentDevices(backEnd);
      for (const { name, path, tags } of devices) {
        places.set(path, { backEnd, deviceName: name });
        const device = {
          backEnd,
          name,
          volumeId: tagged(tags, volumeTag('')),
          migrationId: tagged(tags, migrationTag('')),
          keptBy: tagged(tags, keptTag('')),
          current: current.has(name),
        };
        const leftVolume = device.volumeId !== null && !device.current && volumeDevice.test(name);
        if (device.migrationId !== null || device.keptBy !== null || leftVolume) found.devices.push(device);
      }
    } catch (error) {
      found.unseen.push({ backEnd, why: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const { exportName, path, tags } of await deps.exports.list()) {
    const migrationId = tagged(tags, migrationTag(''));
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

/** What follows the prefix in the first of the tags that has it. */
function tagged(tags: readonly string[], prefix: string): string | null {
  return tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length) ?? null;
}

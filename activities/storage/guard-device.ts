import { FerryError } from '../../model/errors.ts';
import { type DeviceUser, foreignUsers } from './device-users.ts';
import type { Device, Expected, Surroundings, VolumeDriver } from './driver.ts';
import { type Exports, farewellMs, untilUnused, writersThrough } from './exports.ts';
import { hasSnapshots, volumeInUse, writtenMeanwhile } from './refusals.ts';

interface Guarded {
  driver: VolumeDriver;
  exports: Exports;
  name: string;
  /** A server whose having it open does not count. */
  but?: string | undefined;
}

/** Who uses the device of a volume that nobody should be using, in words; Ferry's own read-only servers and copiers do not count. */
export async function usersOfDevice(
  { device, users }: Surroundings,
  exports: Exports,
  but?: string,
): Promise<string[]> {
  const served = (await exports.list()).filter(({ path }) => path === device.path);
  const servers = new Set(served.map(({ pid }) => pid));
  const through = await writersThrough(served, exports, but);
  return [...through, ...foreignUsers(users.filter(({ pid }) => pid === null || !servers.has(pid)))];
}

/**
 * What is around the device once nobody uses it, of those who count; throws `VolumeInUse` if somebody does not let go of it at once.
 */
async function whenUnused(
  { driver, exports, name, but }: Guarded,
  counts: (user: DeviceUser) => boolean = () => true,
): Promise<Surroundings> {
  let around = await expectThere(driver, name);
  let isFirst = true;
  const users = async () => {
    if (!isFirst) around = await expectThere(driver, name);
    isFirst = false;
    return usersOfDevice({ ...around, users: around.users.filter(counts) }, exports, but);
  };
  const { path } = around.device;
  await untilUnused((found) => volumeInUse(path, found), users);
  return around;
}

/**
 * The end of an attachment: throws `VolumeInUse` if somebody still uses the device, or is connected to the attachment's own export, which
 * is not to be cut off. Not there: nothing happens.
 */
export async function refuseIfStillUsed(guarded: Guarded & { but: string }): Promise<void> {
  const { driver, exports, name, but } = guarded;
  const device = await driver.find(name);
  if (!device) return;
  const others = async () => {
    const around = await driver.surroundings(name);
    const connected = (await exports.clients(but)).map((who) => `${who}, connected to the export ${but}`);
    // An export to which nobody is connected is left behind; the next attach ends it.
    const servers = new Set((await exports.list()).filter(({ path }) => path === device.path).map(({ pid }) => pid));
    return [
      ...connected,
      ...foreignUsers((around?.users ?? []).filter(({ pid }) => pid === null || !servers.has(pid))),
    ];
  };
  await untilUnused((found) => volumeInUse(device.path, found), others, farewellMs);
}

/** Throws `VolumeInUse` if somebody uses the device, and does not let go of it at once. Not there: nothing happens. */
export async function refuseIfUsed(guarded: Guarded): Promise<void> {
  if (await guarded.driver.find(guarded.name)) await whenUnused(guarded);
}

/**
 * Throws `VolumeInUse` if somebody else may write to the device, and does not let go of it at once: a guest must not get it beside them.
 * Who only reads takes no guest's disk away. Not there: nothing happens.
 */
export async function refuseIfWritten(guarded: Guarded & { but: string }): Promise<void> {
  if (await guarded.driver.find(guarded.name)) await whenUnused(guarded, ({ isReader }) => !isReader);
}

/**
 * Keeps the device of a volume that is to be copied from being written to: `VolumeHasSnapshots`, `VolumeInUse`, or it is held. Returns what
 * `checkHeld` is to be told.
 */
export async function holdDevice(
  guarded: Guarded & { expected: Expected; migrationId: string },
): Promise<{ lastWrite: string | null }> {
  const { driver, name, expected, migrationId } = guarded;
  refuseSnapshots(await whenUnused(guarded));
  await driver.hold(name, expected, migrationId);
  // Who came between the look and the hold has it open still, or has written before anything was copied.
  const { lastWrite } = await whenUnused(guarded);
  return { lastWrite };
}

/** Throws unless nobody has written to the held device since: the last look before the volume is switched away from it. */
export async function checkHeld(guarded: Guarded & { lastWrite: string | null }): Promise<void> {
  const around = await whenUnused(guarded);
  refuseSnapshots(around);
  if (guarded.lastWrite !== null && around.lastWrite !== guarded.lastWrite) throw writtenMeanwhile(around.device.path);
}

/**
 * What the storage tells of the last write to a device that is to be read as a whole. `VolumeInUse` if somebody uses it; if it is not as
 * it was at an earlier look (`since`): somebody has written to it meanwhile.
 */
export async function lastWriteTo(guarded: Guarded, since: string | null = null): Promise<string | null> {
  const { device, lastWrite } = await whenUnused(guarded);
  if (since !== null && lastWrite !== since) throw writtenMeanwhile(device.path);
  return lastWrite;
}

/** Throws `VolumeHasSnapshots` if somebody's snapshots hang on the device. */
export async function refuseIfOrigin(driver: VolumeDriver, device: Device): Promise<void> {
  refuseSnapshots({ device, snapshots: await driver.snapshots(device.name) });
}

function refuseSnapshots({ device, snapshots }: Pick<Surroundings, 'device' | 'snapshots'>): void {
  if (snapshots.length > 0) throw hasSnapshots(device, snapshots);
}

async function expectThere(driver: VolumeDriver, name: string): Promise<Surroundings> {
  const around = await driver.surroundings(name);
  if (around) return around;
  throw new FerryError('DeviceMissing', `there is no ${name} in ${driver.place}`, { name });
}

import {
  generationTag,
  isStandingTag,
  keptTag,
  isUnzeroed,
  labelsOf,
  migrationTag,
  proofSeconds,
  reasonNotLive,
  retiredTag,
  roleTag,
  standingOf,
  volumeTag,
  type DeviceStanding,
  type LiveDevice,
  type LiveProof,
  type VolumeLabels,
} from '../../model/device.ts';
import { FerryError } from '../../model/errors.ts';
import { beating } from '../beating.ts';
import { inspectDevice } from './copier/block-device.ts';
import { lockDevice } from './copier/device-lock.ts';
import type { StorageDependencies } from './create-storage-activities.ts';
import type { Device, VolumeDriver } from './driver.ts';
import { endExport, endExports } from './exports.ts';
import { stillWanted } from '../warrants/require-warrants.ts';
import { refuseIfOrigin, refuseIfUsed } from './guard-device.ts';
import { readEnds } from './read-ends.ts';

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** The device that holds a volume now, as the registry has it. */
interface Holder extends OnDevice {
  volumeId: string;
  /** Null: from before identities were known. */
  identity: string | null;
  generation: number;
  sizeBytes: number;
}

/** The device that a migration has made, or goes back to. */
interface Successor extends OnDevice {
  volumeId: string;
  migrationId: string;
  /** The epoch of the migration's claim. */
  generation: number;
  identity: string | null;
  sizeBytes: number;
  /** Of an undo: the migration that had kept it. */
  keptBy?: string | undefined;
}

/** A device that its volume has left. */
interface Left extends OnDevice {
  volumeId: string;
  exportName: string;
  /** The migration by which the volume left it. */
  migrationId: string;
  /** Null or absent: not known. */
  identity?: string | null | undefined;
}

/**
 * Which of a volume's devices holds it: what follows from the switch, on one node each. Nothing that was ever live is deleted here unless the device
 * that holds the volume now has been asked. See docs/decisions/001-the-device-is-a-witness.md. Each may be repeated, late or half done.
 */
export function createSuccessionActivities(
  deps: Pick<
    StorageDependencies,
    'exports' | 'isCurrentLocation' | 'isKeptSource' | 'whereabouts' | 'needsRepair' | 'registryTime'
  >,
  driverOf: (backEnd: string) => VolumeDriver,
) {
  /** Rule 1 of the house: what the registry points at is never deleted, whoever asks; and nothing where it may be behind. */
  const refuseIfWanted = async (at: OnDevice, volumeId: string | null): Promise<void> => {
    const where = `${at.deviceName} on ${at.backEnd}`;
    const [isCurrent, isKept, needsRepair] = await Promise.all([
      deps.isCurrentLocation(at.backEnd, at.deviceName),
      deps.isKeptSource(at.backEnd, at.deviceName),
      deps.needsRepair(at.backEnd, volumeId),
    ]);
    if (isCurrent) throw new FerryError('NotOwned', `${where} holds a volume; it is not deleted.`);
    if (isKept) throw new FerryError('NotOwned', `${where} is a kept source; it is not deleted.`);
    if (!needsRepair) return;
    throw new FerryError(
      'NeedsRepair',
      `${where} is not deleted: ${at.backEnd} or the volume needs repair, the devices and the registry do not agree. See: ferry repair --dry-run`,
      { ...at },
    );
  };

  const there = async (at: OnDevice): Promise<Device> => {
    const device = await driverOf(at.backEnd).find(at.deviceName);
    if (device) return device;
    throw new FerryError('DeviceMissing', `${at.deviceName} is not on ${at.backEnd}.`, { ...at });
  };

  /** What the device says of itself now. It is whole as far as a look at its size and both of its ends tells. */
  const prove = async (at: OnDevice, device: Device, sizeBytes: number): Promise<LiveProof> => {
    const { backEnd, deviceName } = at;
    if (device.sizeBytes !== sizeBytes)
      throw new FerryError(
        'SizeMismatch',
        `${deviceName} on ${backEnd} has ${device.sizeBytes} bytes, the registry says ${sizeBytes}.`,
      );
    await readEnds(device.path, sizeBytes);
    const { generation } = standingOf(device.tags);
    return {
      backEnd,
      deviceName,
      identity: device.identity,
      generation,
      sizeBytes,
      provenAt: await deps.registryTime(),
    };
  };

  /** Changes the role of exactly the device that was looked at, as it was then. */
  const giveRole = async (at: OnDevice, device: Device, tags: readonly string[]): Promise<void> => {
    const now = device.tags.filter(isStandingTag);
    await driverOf(at.backEnd).retag(
      at.deviceName,
      { identity: device.identity, tags: device.tags.filter((tag) => tag.startsWith(volumeTag(''))).concat(now) },
      { add: tags, remove: now.filter((tag) => !tags.includes(tag)) },
    );
  };

  return {
    /** What the device of that name says of itself; null when there is none. Changes nothing. */
    lookAtDevice: beating(
      async (
        at: OnDevice,
      ): Promise<
        (DeviceStanding & { identity: string; sizeBytes: number; labels: VolumeLabels; isUnzeroed?: boolean }) | null
      > => {
        const device = await driverOf(at.backEnd).find(at.deviceName);
        if (!device) return null;
        const { identity, sizeBytes, tags } = device;
        return { ...standingOf(tags), identity, sizeBytes, labels: labelsOf(tags), isUnzeroed: isUnzeroed(tags) };
      },
    ),

    /**
     * Asks the device that holds a volume whether it does: it is there, live, of that generation, size and identity, and can be read.
     * `DeviceMissing`, `WrongDevice`, `NeedsRepair`, `SizeMismatch`, `NotProven` (it cannot be read) when it is not so.
     */
    proveLive: beating(async (holder: Holder): Promise<LiveProof> => {
      const device = await there(holder);
      checkLive(holder, device);
      return prove(holder, device, holder.sizeBytes);
    }),

    /** Asks, just before the switch, for the device that the volume is about to move to: it is there, as it was verified. */
    proveDestination: beating(async (to: Successor): Promise<LiveProof> => {
      const device = await there(to);
      checkSuccessor(to, device);
      return prove(to, device, to.sizeBytes);
    }),

    /**
     * Makes the device live that a migration has made, or goes back to; only after the registry's switch. Whoever still wrote to it for
     * the migration is ended before. Answers with the proof that it holds the volume. Done before: the same.
     */
    settleDestination: beating(async (to: Successor): Promise<LiveProof> => {
      const device = await there(to);
      const standing = standingOf(device.tags);
      if (standing.role === 'live' && standing.generation === to.generation && standing.migrationId === null) {
        checkIdentity(to, device);
        return prove(to, device, to.sizeBytes);
      }
      checkSuccessor(to, device);
      // A kept one was read-only; an incoming one never is.
      if (to.keptBy !== undefined) await driverOf(to.backEnd).makeReady(to.deviceName);
      const facts = await inspectDevice(device.path, to.sizeBytes);
      // A copy that is suspended writes no more when it wakes up: it is killed here, or finds the role changed.
      const lock = await lockDevice(facts.identity);
      try {
        await giveRole(to, device, [roleTag('live'), generationTag(to.generation)]);
      } finally {
        lock.release();
      }
      const settled = await there(to);
      checkLive(to, settled);
      return prove(to, settled, to.sizeBytes);
    }),

    /**
     * Makes exactly this device of a volume the one that holds it, with a generation above all others: a source whose volume was switched to
     * a destination that is lost, or the device that an operator has chosen. Refused when it is another volume's. May be repeated.
     */
    reviveDevice: beating(async (from: Holder): Promise<LiveProof> => {
      const device = await there(from);
      checkIdentity(from, device);
      const { volumeId, generation } = standingOf(device.tags);
      if (volumeId !== from.volumeId || generation > from.generation)
        throw new FerryError(
          'NotOwned',
          `${from.deviceName} on ${from.backEnd} is of volume ${volumeId}, generation ${generation}: it is left alone.`,
        );
      await giveRole(from, device, [roleTag('live'), generationTag(from.generation)]);
      await driverOf(from.backEnd).makeReady(from.deviceName);
      return prove(from, await there(from), from.sizeBytes);
    }),

    /** Takes back what `prepareDestination` made. Nothing there, or what had the name before and was refused as `DeviceExists`: done. */
    deleteDestination: beating(async (input: OnDevice & { migrationId: string }): Promise<void> => {
      const [driver, tag] = [driverOf(input.backEnd), migrationTag(input.migrationId)];
      const device = await driver.find(input.deviceName);
      if (!device?.tags.includes(tag)) return;
      await refuseIfWanted(input, standingOf(device.tags).volumeId);
      // What was live once is no mere copy.
      const not = (['live', 'retired', 'kept'] as const).map(roleTag);
      await driver.delete(input.deviceName, { identity: device.identity, tags: [tag], not });
    }),

    /**
     * Nobody writes any more to the device that a guest's volume has left, while it waits to be retired or kept: a definition that names it again
     * would have the guest start on what is old. Ends its exports. Somebody uses it: `VolumeInUse`. Retired, kept or gone by now: done.
     */
    fenceSource: beating(async (input: Left): Promise<void> => {
      const { backEnd, deviceName, volumeId, migrationId } = input;
      const driver = driverOf(backEnd);
      const device = await driver.find(deviceName);
      if (!device) return;
      const standing = standingOf(device.tags);
      if (standing.volumeId !== volumeId || standing.role !== 'live') return;
      checkIdentity(input, device);
      if (await deps.isCurrentLocation(backEnd, deviceName))
        throw new FerryError('NotOwned', `${deviceName} on ${backEnd} holds a volume; it is not fenced off.`);
      await endExports(deps.exports, device.path);
      await refuseIfUsed({ driver, exports: deps.exports, name: deviceName });
      const tags = [volumeTag(volumeId), roleTag('live')];
      await driver.hold(deviceName, { identity: device.identity, tags, stillWanted }, migrationId);
    }),

    /**
     * Ends the exports of the device that a volume has left, marks it as retired and deletes it. Only with the proof, a fresh one, that
     * another device of a higher generation holds the volume, and only if the registry says the same; or if the volume was deleted
     * (`proof: null`). Still open somewhere: `DeviceInUse`, tried again. Not there: done.
     */
    retireSource: beating(async (input: Left & { proof: LiveProof | null }): Promise<void> => {
      const { backEnd, deviceName, volumeId, migrationId, proof } = input;
      const driver = driverOf(backEnd);
      await endExport(deps.exports, input.exportName);
      const device = await driver.find(deviceName);
      if (!device) return;
      const standing = standingOf(device.tags);
      checkIdentity(input, device);
      if (standing.volumeId !== volumeId)
        throw new FerryError('NotOwned', `${deviceName} on ${backEnd} is not of volume ${volumeId}: it is left alone.`);
      await refuseIfWanted(input, volumeId);
      await checkProof(deps, volumeId, standing, proof, input);
      await refuseIfOrigin(driver, device);
      // The one through which a guest had it: a repair does not know its name.
      await endExports(deps.exports, device.path);
      const retired = [roleTag('retired'), generationTag(standing.generation), retiredTag(migrationId)];
      await giveRole(input, device, retired);
      const tags = [volumeTag(volumeId), roleTag('retired'), retiredTag(migrationId)];
      await driver.delete(deviceName, { identity: device.identity, tags });
    }),

    /**
     * Ends the exports of the device that a volume has left, and marks it as kept; only after the registry's switch. A late repeat changes
     * nothing: not there any more, or not kept any more.
     */
    keepSource: beating(async (input: Left): Promise<void> => {
      const { backEnd, deviceName, volumeId, migrationId } = input;
      await endExport(deps.exports, input.exportName);
      const device = await driverOf(backEnd).find(deviceName);
      if (!device) return;
      const { role, generation, volumeId: of } = standingOf(device.tags);
      if (of !== volumeId || (role !== 'live' && role !== 'kept')) return;
      checkIdentity(input, device);
      if (!(await deps.isKeptSource(backEnd, deviceName))) return;
      await endExports(deps.exports, device.path);
      await giveRole(input, device, [roleTag('kept'), generationTag(generation), keptTag(migrationId)]);
      // It is to hold what it holds now, should the volume come back to it.
      const tags = [volumeTag(volumeId), keptTag(migrationId)];
      const expected = { identity: device.identity, tags };
      await driverOf(backEnd).hold(deviceName, expected, migrationId);
    }),
  };
}

function checkIdentity(
  { identity, deviceName, backEnd }: OnDevice & { identity?: string | null | undefined },
  device: Device,
): void {
  if (identity == null || identity === device.identity) return;
  throw new FerryError(
    'WrongDevice',
    `${deviceName} on ${backEnd} is another device (${device.identity}) than the one that is meant (${identity}): it is left alone.`,
    { backEnd, deviceName, identity: device.identity, expected: identity },
  );
}

/** Throws unless the device holds the volume by its own word. */
function checkLive(at: OnDevice & LiveDevice, device: Device): void {
  const reason = reasonNotLive(device, at);
  if (reason) throw new FerryError(reason.type, `On ${at.backEnd}, ${reason.message}`, reason.details);
}

/** Throws unless the migration has made the device, or goes back to it, and it is still waiting for the switch. */
function checkSuccessor(to: Successor, device: Device): void {
  checkIdentity(to, device);
  const { role, migrationId, keptBy, volumeId } = standingOf(device.tags);
  const waits = to.keptBy === undefined ? role === 'incoming' && migrationId === to.migrationId : keptBy === to.keptBy;
  if (volumeId === to.volumeId && waits) return;
  throw new FerryError(
    'NotOwned',
    `${to.deviceName} on ${to.backEnd} is not what migration ${to.migrationId} moves volume ${to.volumeId} to: it is ${role} (${device.tags.join(', ')}).`,
    { backEnd: to.backEnd, deviceName: to.deviceName, tags: device.tags },
  );
}

/** Throws `NotProven` unless the volume is known to be elsewhere, in a newer device, or to be deleted. */
/**
 * Whether it can be the device that this migration has left: its source was of an older generation, or, where the volume went back, what it
 * had made itself. A device that became live later holds what was written since, whatever a registry from before that says.
 */
function wasLeft(
  { generation }: DeviceStanding,
  { backEnd }: OnDevice,
  left: { epoch: number; backEnd: string },
): boolean {
  return backEnd === left.backEnd ? generation < left.epoch : generation <= left.epoch;
}

async function checkProof(
  deps: Pick<StorageDependencies, 'whereabouts' | 'registryTime'>,
  volumeId: string,
  old: DeviceStanding,
  proof: LiveProof | null,
  at: Left,
): Promise<void> {
  const notProven = (why: string) =>
    new FerryError('NotProven', `${at.deviceName} on ${at.backEnd} stays: ${why}`, { ...at, volumeId });
  const now = await deps.whereabouts(volumeId, at.migrationId);
  if (now.state === 'deleted') return;
  if (now.state === 'unknown')
    throw notProven(`the registry knows nothing of volume ${volumeId}. See: ferry repair --dry-run`);
  if (proof === null) throw notProven(`volume ${volumeId} is on ${now.backEnd}, and its device there was not asked.`);
  const agrees =
    now.backEnd === proof.backEnd &&
    now.deviceName === proof.deviceName &&
    now.generation === proof.generation &&
    (now.identity === null || now.identity === proof.identity);
  if (!agrees)
    throw notProven(`volume ${volumeId} is on ${now.backEnd} by the registry, and the proof is of ${proof.backEnd}.`);
  if (old.generation >= proof.generation)
    throw notProven(
      `it is of generation ${old.generation}, and what holds the volume on ${proof.backEnd} only of ${proof.generation}. See: ferry repair --dry-run`,
    );
  if (now.left && !wasLeft(old, at, now.left))
    throw notProven(
      `it became live, of generation ${old.generation}, after the migration ${at.migrationId} of generation ${now.left.epoch} had left it: that migration is not the one that took its volume away. See: ferry repair --dry-run`,
    );
  const age = Date.parse(await deps.registryTime()) - Date.parse(proof.provenAt);
  if (!(age <= proofSeconds * 1000)) throw notProven('the proof is too old; it is asked for again.');
}

import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Admit } from '../activities/storage/admission.ts';
import type { VolumeDriver } from '../activities/storage/driver.ts';
import { FerryError } from '../model/errors.ts';
import { volumeTag } from '../model/device.ts';
import { nameIdOf } from '../model/names.ts';
import {
  reasonNotToTake,
  storageDifference,
  type StorageContents,
  type StorageMark,
  type StorageSeen,
} from '../model/storage-identity.ts';
import type { Registry } from '../registry/open-registry.ts';
import {
  devicesOnRecord,
  readStorage,
  recordFound,
  recordSequence,
  recordStorage,
  storageHolder,
  type StorageRow,
} from '../registry/storages.ts';

/** Whether what is in a back end's place is its own storage. */
export interface OwnStorage {
  /** For the back end's driver. */
  readonly admit: Admit;
  /**
   * Reads anew what the registry says. Takes the storage for the back end's if it may: at first use, or because an operator said so. Else
   * writes to the registry what is there instead, for the operator to look at, and throws `BackEndUnavailable`.
   */
  refresh(this: void): Promise<void>;
}

/** `storage` is the driver that admits anything. */
export function createOwnStorage(deps: {
  backEnd: string;
  storage: VolumeDriver;
  registry: Registry;
  log: Logger;
}): OwnStorage {
  const { backEnd, storage, registry, log } = deps;
  /** As it was read last. What was seen since then is not older than that. */
  let known: StorageRow | undefined;
  /** Nothing has been seen that differs since the last look. */
  let settled = false;

  const holderOf = async ({ mark }: StorageSeen) => (mark ? storageHolder(registry, mark.id) : null);

  async function check(seen: StorageSeen): Promise<void> {
    if (known && storageDifference(known, seen, null) === null) return;
    const now = (known = await readStorage(registry, backEnd));
    // What was seen may be older by now than what others have seen since.
    const isOnlyOlder = storageDifference({ ...now, sequence: null }, seen, null) === null;
    const anew = isOnlyOlder ? await storage.identify() : seen;
    const why = storageDifference(now, anew, await holderOf(anew));
    if (why === null) return;
    settled = false;
    throw notOwn(backEnd, why);
  }

  async function take(mark: StorageMark, seen: StorageSeen): Promise<void> {
    if (seen.mark?.id !== mark.id) await storage.mark(mark, seen.mark);
    await recordStorage(registry, backEnd, mark, await storage.identify());
    known = await readStorage(registry, backEnd);
    log.info({ backEnd, identity: mark.id, instead: seen.mark }, 'the storage is marked as this back end');
  }

  async function settle(): Promise<void> {
    // In this order: what is seen then is not older than what is known.
    const now = (known = await readStorage(registry, backEnd));
    const seen = await storage.identify();
    const { adoption, registry: own } = now;
    if (adoption && (isSame(seen, adoption.instead) || seen.mark?.id === adoption.id))
      return take({ id: adoption.id, registry: own, backEnd }, seen);
    const holder = await holderOf(seen);
    const different = storageDifference(now, seen, holder);
    if (different === null) {
      // After a renaming the mark has the old name; it is right, but would mislead.
      if (now.mountPoint !== seen.mountPoint || seen.mark?.backEnd !== backEnd)
        await recordOwn(now.identity!, own, seen);
      if (now.found) await recordFound(registry, backEnd, null);
      return;
    }
    const contents = await contentsOf(storage, await devicesOnRecord(registry, backEnd));
    const why = reasonNotToTake(backEnd, now, { seen, contents, holder });
    if (why === null) return take(seen.mark ?? { id: randomUUID(), registry: own, backEnd }, seen);
    await recordFound(registry, backEnd, { seen, contents, why });
    throw notOwn(backEnd, why);
  }

  async function recordOwn(id: string, own: string, seen: StorageSeen): Promise<void> {
    const mark = { id, registry: own, backEnd };
    if (seen.mark?.backEnd !== backEnd) await storage.mark(mark, seen.mark);
    await recordStorage(registry, backEnd, mark, seen);
  }

  return {
    async admit(seen) {
      await check(seen);
      if (!known || seen.sequence === null || seen.sequence <= (known.sequence ?? seen.sequence)) return;
      await recordSequence(registry, backEnd, seen.sequence);
      known = { ...known, sequence: seen.sequence };
    },
    async refresh() {
      known = await readStorage(registry, backEnd);
      if (settled && known.identity !== null && !known.adoption && !known.found) return;
      settled = false;
      await settle();
      settled = true;
    },
  };
}

/** What of the registry's devices is in a storage, and what else of a Ferry's. */
async function contentsOf(storage: VolumeDriver, onRecord: readonly string[]): Promise<StorageContents> {
  const devices = await storage.list();
  const there = new Set(devices.map(({ name }) => name));
  const record = new Set(onRecord);
  const ofVolumes = devices.filter(
    ({ name, tags }) => nameIdOf(name) !== null && tags.some((tag) => tag.startsWith(volumeTag(''))),
  );
  return {
    matched: onRecord.filter((name) => there.has(name)).length,
    missing: onRecord.filter((name) => !there.has(name)),
    unknown: ofVolumes.map(({ name }) => name).filter((name) => !record.has(name)),
  };
}

const isSame = (a: StorageSeen, b: StorageSeen) => a.mark?.id === b.mark?.id && a.uuid === b.uuid;

function notOwn(backEnd: string, why: string): FerryError {
  return new FerryError(
    'BackEndUnavailable',
    `what is in the place of ${backEnd} is not its storage: ${why}; nothing is done there. Put its storage back, or say that this is it now: ferry back-end adopt ${backEnd}`,
    { backEnd, why },
  );
}

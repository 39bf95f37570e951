import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import type { VolumeDriver } from '../../../activities/storage/driver.ts';
import { removeFolder } from '../../../setup/remove-folder.mjs';
import {
  generationTag,
  incomingTags,
  keptTag,
  liveTags,
  migrationTag,
  roleTag,
  snapshotTag,
  volumeTag,
  type Whereabouts,
} from '../../../model/device.ts';
import type { LateNews, LateStep } from './late-worker.ts';

const mib = 1024 ** 2;
const backEnd = 'server1@a';
const [volumeId, migrationId, laterMigration, owner] = [
  '6088f80a-f116-4331-ad48-9afb0dfb196c',
  '11111111-1111-4111-8111-111111111111',
  '22222222-2222-4222-8222-222222222222',
  'a-workflow/a-run',
];
const deviceName = `volume-${volumeId}`;
const exportName = `migration-${migrationId}`;
const ofVolume = { tags: [volumeTag(volumeId)] };

/** What the registry says, by now. */
interface RegistryNow {
  where: Whereabouts;
  isCurrentLocation: boolean;
  isKeptSource: boolean;
  /** The operation's owner, or the migration, still has the volume. */
  isStill: boolean;
  /** What a step has made of its exports. */
  isExported: boolean;
  isCut: boolean;
}

interface Late {
  step: string;
  input: (identity: string, at: RegistryNow) => object;
  /** The device that the step is meant for, before it begins; the volume's own if it has no name. */
  begins: { name?: string; tags: string[]; isKept?: boolean };
  /** What happens while it is suspended; the tenant writes afterwards, unless a migration holds the device. */
  meanwhile: (driver: VolumeDriver, now: RegistryNow) => Promise<void>;
}

const elsewhere: Whereabouts = {
  ...{ state: 'there', backEnd: 'server2@b', deviceName: 'volume-2', identity: 'another', generation: 1 },
  sizeBytes: mib,
};
const proof = () => ({ ...(elsewhere as object), provenAt: new Date().toISOString() });
const gone = (driver: VolumeDriver) => driver.delete(deviceName, ofVolume);

/** The volume is back, in a new device of the old name. */
async function comesBack(driver: VolumeDriver, now: RegistryNow): Promise<void> {
  const tags = liveTags(volumeId, 2);
  const { identity } = await driver.create({ name: deviceName, sizeBytes: mib, tags, zero: false });
  now.where = { state: 'there', backEnd, deviceName, identity, generation: 2, sizeBytes: mib };
  Object.assign(now, { isCurrentLocation: true, isKeptSource: false, isStill: false });
}

/** What failed is over, and an operator has given the volume back to its tenant, as it was. */
const givenBack = async (_: VolumeDriver, now: RegistryNow) => void (now.isStill = false);

async function heldByMigration(driver: VolumeDriver, now: RegistryNow): Promise<void> {
  await driver.hold(deviceName, ofVolume, laterMigration);
  now.isStill = false;
}

const left = (identity: string) => ({ backEnd, deviceName, volumeId, exportName, migrationId, identity });
const live = (identity: string) => ({ backEnd, deviceName, volumeId, identity, generation: 0, owner });
const successor = (identity: string) => ({ ...left(identity), generation: 1, sizeBytes: mib });
const snapshotId = '33333333-3333-4333-8333-333333333333';
const snapshot = { name: `_snapshot-${snapshotId}`, tags: [snapshotTag(snapshotId)] };
const snapshotOf = { sizeBytes: mib, snapshotName: snapshot.name, tags: snapshot.tags };
const incoming = { tags: incomingTags(volumeId, migrationId, 1) };
const original = { tags: liveTags(volumeId) };
const kept = { tags: [volumeTag(volumeId), roleTag('kept'), generationTag(0), keptTag(migrationId)] };

const cases: Record<string, Late> = {
  'the deletion of a source; another has done it, and the volume is back under that name': {
    step: 'retireSource',
    input: (identity) => ({ ...left(identity), proof: proof() }),
    begins: original,
    meanwhile: async (driver, now) => {
      await gone(driver);
      await comesBack(driver, now);
    },
  },
  'the same, of a device whose identity is not known': {
    step: 'retireSource',
    input: () => ({ ...left(''), identity: null, proof: proof() }),
    begins: original,
    meanwhile: async (driver, now) => {
      await gone(driver);
      await comesBack(driver, now);
    },
  },
  'the keeping of a source; an undo has gone back to it': {
    step: 'keepSource',
    input: left,
    begins: { ...original, isKept: true },
    meanwhile: async (driver, now) => {
      const change = { add: [generationTag(2)], remove: [generationTag(0)] };
      await driver.retag(deviceName, ofVolume, change);
      Object.assign(now, { isKeptSource: false, isCurrentLocation: true });
    },
  },
  'the settling of a destination; its volume has left again, and another migration fills a device of that name': {
    step: 'settleDestination',
    input: successor,
    begins: incoming,
    meanwhile: async (driver) => {
      await gone(driver);
      const tags = incomingTags(volumeId, laterMigration, 3);
      await driver.create({ name: deviceName, sizeBytes: mib, tags, zero: false });
    },
  },
  'the settling of a destination; its volume has left it, and it is kept': {
    step: 'settleDestination',
    input: successor,
    begins: incoming,
    meanwhile: async (driver) => {
      const add = [roleTag('kept'), keptTag(laterMigration)];
      await driver.retag(deviceName, ofVolume, { add, remove: [roleTag('incoming'), migrationTag(migrationId)] });
    },
  },
  'the settling of a kept source; the undo was taken back': {
    step: 'settleDestination',
    input: (identity) => ({ ...successor(identity), generation: 2, keptBy: migrationId }),
    begins: kept,
    meanwhile: async (driver) => {
      await gone(driver);
      const tags = incomingTags(volumeId, laterMigration, 3);
      await driver.create({ name: deviceName, sizeBytes: mib, tags, zero: false });
    },
  },
  'the deletion of a destination; it was settled after all, by a repair': {
    step: 'deleteDestination',
    input: left,
    begins: incoming,
    meanwhile: async (driver, now) => {
      const remove = [roleTag('incoming'), migrationTag(migrationId)];
      await driver.retag(deviceName, ofVolume, { add: [roleTag('live')], remove });
      now.isCurrentLocation = true;
    },
  },
  'the deletion of a destination; another migration fills a device of that name': {
    step: 'deleteDestination',
    input: left,
    begins: incoming,
    meanwhile: async (driver) => {
      await gone(driver);
      const tags = incomingTags(volumeId, laterMigration, 3);
      await driver.create({ name: deviceName, sizeBytes: mib, tags, zero: false });
    },
  },
  'the deletion of a volume; another has done it, and the volume was made anew': {
    step: 'deleteDevice',
    input: live,
    begins: original,
    meanwhile: async (driver, now) => {
      await gone(driver);
      await comesBack(driver, now);
    },
  },
  'the deletion of a volume that failed, and that was given back': {
    step: 'deleteDevice',
    input: live,
    begins: original,
    meanwhile: givenBack,
  },
  'an extension that failed; the volume was given back': {
    step: 'extendDevice',
    input: (identity) => ({ ...live(identity), sizeBytes: 2 * mib }),
    begins: original,
    meanwhile: givenBack,
  },
  'an extension that failed; the volume has left and come back': {
    step: 'extendDevice',
    input: (identity) => ({ ...live(identity), sizeBytes: 2 * mib }),
    begins: original,
    meanwhile: async (driver, now) => {
      await gone(driver);
      await comesBack(driver, now);
    },
  },
  'an extension that another has done, and that was followed by the next one': {
    step: 'extendDevice',
    input: (identity) => ({ ...live(identity), sizeBytes: 2 * mib }),
    begins: original,
    meanwhile: async (driver, now) => {
      for (const sizeBytes of [2 * mib, 3 * mib]) await driver.extend(deviceName, sizeBytes, ofVolume);
      now.isStill = false;
    },
  },
  'an extension that failed; a migration holds the volume': {
    step: 'extendDevice',
    input: (identity) => ({ ...live(identity), sizeBytes: 2 * mib }),
    begins: original,
    meanwhile: heldByMigration,
  },
  'a snapshot that failed; the volume was given back': {
    step: 'snapshotDevice',
    input: (identity) => ({ ...live(identity), ...snapshotOf }),
    begins: original,
    meanwhile: givenBack,
  },
  'a snapshot that failed; the volume has left and come back': {
    step: 'snapshotDevice',
    input: (identity) => ({ ...live(identity), ...snapshotOf }),
    begins: original,
    meanwhile: async (driver, now) => {
      await gone(driver);
      await comesBack(driver, now);
    },
  },
  'the deletion of a snapshot that failed, and that was given back': {
    step: 'deleteSnapshotDevice',
    input: () => ({ backEnd, deviceName: snapshot.name, snapshotId }),
    begins: snapshot,
    meanwhile: givenBack,
  },
  'the deletion of a snapshot; another has done it, and one of that name was made anew': {
    step: 'deleteSnapshotDevice',
    input: () => ({ backEnd, deviceName: snapshot.name, snapshotId }),
    begins: snapshot,
    meanwhile: async (driver, now) => {
      await driver.delete(snapshot.name, { tags: snapshot.tags });
      await driver.create({ ...snapshot, sizeBytes: mib, zero: false });
      now.isStill = false;
    },
  },
  'an attach that failed; the volume was given back': {
    step: 'exportVolume',
    input: (identity) => ({ ...live(identity), sizeBytes: mib, exportName, writable: true }),
    begins: original,
    meanwhile: givenBack,
  },
  'an attach that failed; a migration holds the volume': {
    step: 'exportVolume',
    input: (identity) => ({ ...live(identity), sizeBytes: mib, exportName, writable: true }),
    begins: original,
    meanwhile: heldByMigration,
  },
  'the hold of a source; its migration came to nothing, and a tenant has it': {
    step: 'holdSource',
    input: (identity) => ({ ...live(identity), migrationId, sizeBytes: mib }),
    begins: original,
    meanwhile: givenBack,
  },
};

/** No more looks than that are in any step. */
const mostLooks = 40;

describe('a step that is suspended, and wakes up when all is over', () => {
  let folder: string;
  let worker: ChildProcess;
  const asUsual = {
    where: elsewhere,
    isCurrentLocation: false,
    isKeptSource: false,
    isStill: true,
    isExported: false,
    isCut: false,
  };
  const now: RegistryNow = { ...asUsual };
  /** What the last step came to, once it has ended. */
  let end: Promise<string | null>;

  const answerTo = (question: string): unknown => {
    if (question === 'ensureExport') return (now.isExported = true);
    if (question === 'removeExport') return (now.isCut = true);
    if (question === 'whereabouts') return now.where;
    return now[question as 'isCurrentLocation' | 'isKeptSource' | 'isStill'];
  };
  const nextEnd = () =>
    new Promise<string | null>((resolve) => {
      const listen = (news: LateNews) => {
        if (news.kind === 'ask') return void worker.send({ answer: answerTo(news.question) });
        worker.off('message', listen);
        resolve(news.error);
      };
      worker.on('message', listen);
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-late-'));
    worker = fork(join(import.meta.dirname, 'late-worker.ts'), { execArgv: ['--disable-warning=ExperimentalWarning'] });
    await nextEnd();
  });
  after(async () => {
    const isThere = worker.kill('SIGKILL');
    if (isThere) await once(worker, 'exit');
    removeFolder(folder);
  });

  /** Begins the step; true: it is suspended. */
  async function begin(step: LateStep): Promise<boolean> {
    end = nextEnd();
    const over = end.then(() => true);
    worker.send(step);
    while (!(await Promise.race([over, sleep(5, false)]))) {
      if (/\) T /.test(await readFile(`/proc/${worker.pid}/stat`, 'utf8'))) return true;
    }
    return false;
  }

  async function whatIsThere(driver: VolumeDriver, name: string): Promise<unknown> {
    const found = await driver.find(name);
    if (!found) return null;
    const { isExported, isCut } = now;
    const { mode } = await stat(found.path);
    const flags = (await execa('lsattr', [found.path])).stdout.split(' ')[0];
    return {
      ...found,
      isExported,
      isCut,
      others: (await driver.list()).length,
      tags: found.tags.toSorted(),
      mode,
      flags,
      bytes: (await readFile(found.path)).subarray(0, 16),
    };
  }

  for (const [what, { step, input, begins, meanwhile }] of Object.entries(cases)) {
    test(`${what}: nothing is changed`, async () => {
      let tried = 0;
      for (let stopAt = 1; ; stopAt += 1) {
        assert.ok(stopAt < mostLooks);
        Object.assign(now, { ...asUsual, isKeptSource: begins.isKept === true });
        const path = await mkdtemp(join(folder, 'back-end-'));
        const driver = createDirectoryDriver({ path });
        const { name = deviceName, tags } = begins;
        const spec = { name, sizeBytes: mib, tags, zero: false };
        const { identity, path: device } = await driver.create(spec);
        const isSuspended = await begin({ backEnd, path, device, step, input: input(identity, now), stopAt });
        if (!isSuspended) break;
        // Suspended under the lock: nobody else can change anything before it goes on.
        const isFree =
          (await execa('flock', ['--nonblock', join(path, '.lock'), 'true'], { reject: false })).exitCode === 0;
        const before = await driver.find(name);
        // It has done what it was to do already, and is only looking at it.
        const isLate = isFree && !now.isExported && before?.identity === identity && sameTags(before.tags, tags);
        if (isLate) {
          await meanwhile(driver, now);
          const { path: file } = (await driver.find(name))!;
          if (meanwhile !== heldByMigration) {
            await using handle = await open(file, 'r+');
            await handle.write('a tenant wrote it', 0);
          }
        }
        const there = await whatIsThere(driver, name);
        worker.kill('SIGCONT');
        const error = await end;
        if (!isLate) continue;
        tried += 1;
        assert.deepEqual(await whatIsThere(driver, name), there, `suspended at look ${stopAt}, ended with ${error}`);
      }
      assert.ok(tried > 0, 'it was never late');
    });
  }
});

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((tag) => b.includes(tag));
}

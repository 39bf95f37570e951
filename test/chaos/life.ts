import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { execa } from 'execa';
import type { Ferry } from '../../client/open-ferry.ts';
import { nbdConnection } from '../../model/connection.ts';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { snapshotDeviceName } from '../../model/names.ts';
import type { Attachment } from '../../model/volume.ts';
import type { Place } from '../end-to-end/sight.ts';
import type { Stage } from '../end-to-end/stage.ts';
import { blank, type Bytes, written, wrongBytes } from './bytes.ts';
import { backEnds, type Life, slotBytes, slotOffset, type Step } from './scenario.ts';
import type { Tally } from './tally.ts';

/** For what must come to an end by itself on a busy machine on which everything is killed now and then. Milliseconds. */
const patienceMs = 600_000;
/** For what is left of a volume at rest to be taken away. Milliseconds. */
const leftoversMs = 120_000;
/** Between two looks. Milliseconds. */
const lookEveryMs = 500;
/** What nobody carries on is looked for so often. Looks. */
const repairEveryNthLook = 6;

/** Nothing was done. */
const refusals: ReadonlySet<FerryErrorType> = new Set([
  'BackEndDisabled',
  'BackEndDown',
  'SameBackEnd',
  'VolumeMigrating',
  'VolumeBusy',
  'VolumeHasSnapshots',
  'VolumeStatusRefused',
  'InsufficientSpace',
  'MigrationRefused',
  'NotMigrating',
  'PastPointOfNoReturn',
  'AttachmentNotFound',
]);
/** It may have been done, or not, or in part; what is left of it is tidied up. */
const failures: ReadonlySet<FerryErrorType> = new Set([
  'ServiceUnreachable',
  'NodeUnavailable',
  'ToolFailed',
  'DeviceInUse',
  'BackEndUnavailable',
  'SourceUnreachable',
  'NoProgress',
  'Cancelled',
  'Terminated',
]);

type Answer<T> = { how: 'done'; value: T } | { how: 'refused' | 'unclear'; type: FerryErrorType };

/** Something happened that must never happen. */
export class Violation extends Error {}

/** One volume's life, and what its owner may see in each moment of it. */
export class LivingVolume {
  readonly #ferry: Ferry;
  readonly #stage: Stage;
  readonly #tally: Tally;
  readonly #life: Life;
  #id = '';
  #home = '';
  #bytes: Bytes = blank;
  #sizes = new Set([1]);
  readonly #snapshots = new Map<string, { bytes: Bytes; sizes: Set<number> }>();

  constructor(ferry: Ferry, stage: Stage, tally: Tally, life: Life) {
    this.#ferry = ferry;
    this.#stage = stage;
    this.#tally = tally;
    this.#life = life;
  }

  /** Lives the life; throws `Violation`. `beforeTheEnd` is told where the volume is, just before the last look. */
  async live(beforeTheEnd?: (place: Place) => Promise<void>): Promise<void> {
    if (!(await this.#born())) return;
    for (const step of this.#life.steps) await this.#take(step);
    await this.#settle();
    await beforeTheEnd?.(await this.#place());
    await this.#look();
    await this.#die();
  }

  async #born(): Promise<boolean> {
    const name = `life-${randomUUID()}`;
    const tries = [this.#life.home, ...backEnds.filter((other) => other !== this.#life.home)];
    for (const backEnd of tries) {
      const made = await this.#ask('create', () => this.#ferry.createVolume({ sizeGib: 1, name, backEnd }));
      if (made.how === 'done') {
        this.#id = made.value.volume.id;
        this.#home = backEnd;
        return true;
      }
      if (made.how === 'unclear') break;
    }
    // What may have come of it goes, whatever state it is in.
    await this.#until('what a failed create left is deleted', async () => {
      const [left] = (await this.#ferry.listVolumes()).filter((volume) => volume.name === name);
      if (!left) return true;
      await this.#ask('delete', () => this.#ferry.deleteVolume(left.id, { force: true }));
      return false;
    });
    return false;
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#attached((url) => this.#write(url, step.slot, step.byte));
      case 'read':
        return this.#attached((url) => this.#read(url, step.slot));
      case 'extend': {
        const size = Math.max(...this.#sizes) + 1;
        const extended = await this.#ask('extend', () => this.#ferry.extendVolume(this.#id, size));
        if (extended.how === 'done') this.#sizes = new Set([size]);
        if (extended.how === 'unclear') this.#sizes.add(size);
        return this.#afterwards(extended);
      }
      case 'snapshot': {
        const made = await this.#ask('snapshot', () => this.#ferry.createSnapshot({ volumeId: this.#id }));
        if (made.how === 'done')
          this.#snapshots.set(made.value.id, { bytes: this.#bytes, sizes: new Set(this.#sizes) });
        return this.#afterwards(made);
      }
      case 'delete snapshot': {
        const [id] = this.#snapshots.keys();
        if (id === undefined) return;
        const deleted = await this.#ask('delete snapshot', () => this.#ferry.deleteSnapshot(id));
        if (deleted.how !== 'refused') this.#snapshots.delete(id);
        return this.#afterwards(deleted);
      }
      case 'migrate': {
        const { to, verify, bandwidth, forceHostCopy } = step;
        const request = {
          volumeId: this.#id,
          destination: to,
          verify,
          bandwidth,
          forceHostCopy,
          nodeTimeoutSeconds: 120,
        };
        await this.#ask('migrate', () => this.#ferry.startMigration(request));
        return;
      }
      case 'cancel':
        await this.#ask('cancel', () => this.#ferry.cancelMigration(this.#id));
        return;
      case 'pause':
        await this.#ask('pause', () => this.#ferry.pauseMigration(this.#id));
        return;
      case 'resume':
        await this.#ask('resume', () => this.#ferry.resumeMigration(this.#id));
        return;
      case 'wait for migration':
        return this.#migrated();
      case 'wait':
        await sleep(step.ms);
    }
  }

  /** With the volume attached, if that is allowed now. */
  async #attached(use: (url: string) => Promise<void>): Promise<void> {
    const attached = await this.#ask('attach', () =>
      this.#ferry.attachVolume({ volumeId: this.#id, instanceId: `vm-${this.#id}`, computeHost: 'hv1' }),
    );
    if (attached.how === 'done') {
      const running = (await this.#migrations()).filter(
        ({ outcome, flow }) => outcome === null && flow !== 'generic-attached',
      );
      if (running.length > 0) throw new Violation(`it was attached while it was migrating: ${JSON.stringify(running)}`);
      await use(urlOf(attached.value));
      const detached = await this.#ask('detach', () => this.#ferry.detachVolume(this.#id));
      // An evacuation may have begun to move it under its guest: until it finds no compute worker there.
      const mayRefuse: FerryErrorType[] = ['VolumeBusy', 'VolumeMigrating'];
      if (detached.how === 'refused' && !mayRefuse.includes(detached.type))
        throw new Violation(`its detach was refused with ${detached.type}`);
      if (detached.how !== 'done') await this.#settle();
      return;
    }
    await this.#afterwards(attached);
  }

  async #write(url: string, slot: number, byte: number): Promise<void> {
    const command = `write -P ${byte} ${slotOffset(slot)} ${slotBytes}`;
    const { exitCode } = await qemuIo(url, command, 'flush');
    this.#tally.count('write', exitCode === 0 ? 'done' : 'cut off');
    this.#bytes = written(this.#bytes, slot, byte, exitCode === 0);
  }

  async #read(url: string, slot: number): Promise<void> {
    const [byte, another] = this.#bytes[slot]!;
    if (another !== undefined) return;
    const { exitCode, stdout } = await qemuIo(url, `read -P ${byte} ${slotOffset(slot)} ${slotBytes}`);
    if (/Pattern verification failed/.test(stdout)) throw new Violation(`its owner read another byte than ${byte}`);
    this.#tally.count('read', exitCode === 0 ? 'done' : 'cut off');
  }

  /** What was not clear is tidied up, as an operator would. */
  async #afterwards(answer: Answer<unknown>): Promise<void> {
    if (answer.how === 'unclear') await this.#settle();
  }

  /** Resolves when no migration runs. */
  async #migrated(): Promise<void> {
    await this.#until('its migration ends', async (look) => {
      const [last] = await this.#ferry.listMigrations({ volumeId: this.#id });
      if (!last || last.outcome !== null) return true;
      // One that was paused waits for its operator.
      if (look % 4 === 3) await this.#ask('resume', () => this.#ferry.resumeMigration(this.#id));
      return false;
    });
  }

  /** Brings it to rest: no migration, no operation, no attachment, and `available`. Fails when Ferry cannot be brought to that. */
  async #settle(): Promise<void> {
    await this.#migrated();
    let calm = 0;
    await this.#until('it comes to rest', async (look) => {
      const { volume, attachments } = await this.#ferry.findVolume(this.#id);
      const isFree = volume.migrationStatus === null && volume.operation === null;
      if (isFree && volume.status === 'available' && attachments.length === 0) return ++calm === 2;
      calm = 0;
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.#ask('repair', () => this.#ferry.repair({ volumeId: this.#id }));
      if (!isFree) return false;
      if (attachments.length > 0) await this.#ask('detach', () => this.#ferry.detachVolume(this.#id));
      else if (volume.status !== 'available')
        await this.#ask('reset-state', () => this.#ferry.resetState({ volumeId: this.#id, status: 'available' }));
      return false;
    });
  }

  /** All that an onlooker who knows nothing of Ferry can see. An evacuation may move the volume meanwhile: then it looks again. */
  async #look(): Promise<void> {
    await this.#snapshotsGone();
    for (;;) {
      await this.#settle();
      const records = await this.#migrations();
      const seen = await this.#see(records).then(
        () => null,
        (error: unknown) => error,
      );
      if ((await this.#migrations()).length !== records.length) continue;
      if (seen !== null) throw seen instanceof Violation ? seen : new Violation(inspect(seen));
      for (const { outcome } of records) this.#tally.count('migration', outcome ?? 'unfinished');
      return;
    }
  }

  #migrations(): Promise<MigrationRecord[]> {
    return this.#asked(() => this.#ferry.listMigrations({ volumeId: this.#id }));
  }

  async #see(records: readonly MigrationRecord[]): Promise<void> {
    const host = records.find(({ outcome }) => outcome === 'success')?.destination ?? this.#home;
    const meanwhile = () =>
      this.#ask('repair', () => this.#ferry.repair({ volumeId: this.#id, orphanGraceSeconds: 0 }));
    const { checker } = this.#stage;
    const contents = await this.#asked(() => checker.contents(this.#id));
    await this.#asked(() => checker.assertAt(this.#id, { host, contents }, { settleMs: leftoversMs, meanwhile }));
    const wrong = await wrongBytes(this.#file(await this.#place()), this.#bytes, this.#sizes);
    if (wrong.length > 0) throw new Violation(wrong.join('; '));
  }

  async #snapshotsGone(): Promise<void> {
    for (const [id, { bytes, sizes }] of this.#snapshots) {
      const [node, group] = await this.#place();
      const wrong = await wrongBytes(this.#file([node, group, snapshotDeviceName(id)]), bytes, sizes);
      if (wrong.length > 0) throw new Violation(`snapshot ${id}: ${wrong.join('; ')}`);
    }
    await this.#until('its snapshots are deleted', async (look) => {
      const left = await this.#ferry.listSnapshots({ volumeId: this.#id });
      for (const { id } of left) await this.#ask('delete snapshot', () => this.#ferry.deleteSnapshot(id));
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.#ask('repair', () => this.#ferry.repair({ volumeId: this.#id }));
      return left.length === 0;
    });
  }

  async #die(): Promise<void> {
    await this.#until('it is deleted', async (look) => {
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.#ask('repair', () => this.#ferry.repair({ volumeId: this.#id, orphanGraceSeconds: 0 }));
      const deleted = await this.#ask('delete', () => this.#ferry.deleteVolume(this.#id, { force: true }));
      return deleted.how === 'done' || (deleted.how === 'refused' && (await this.#isGone()));
    });
    const left = (await this.#stage.sight.devices()).filter(({ place, tags }) =>
      `${place.join('/')} ${tags.join(' ')}`.includes(this.#id),
    );
    if (left.length > 0) throw new Violation(`it was deleted, and left ${JSON.stringify(left)}`);
  }

  async #isGone(): Promise<boolean> {
    return (await this.#ferry.listVolumes()).every(({ id }) => id !== this.#id);
  }

  async #place(): Promise<Place> {
    const { volume } = await this.#asked(() => this.#ferry.findVolume(this.#id));
    const [node, group] = volume.host.split('@') as [string, string];
    return [node, group, `volume-${volume.nameId ?? volume.id}`];
  }

  #file([node, group, device]: Place): string {
    return join(this.#stage.directory, 'nodes', node, group, 'volumes', device);
  }

  /** Asks Ferry once. What is neither a refusal nor a failure that a disturbance explains is a violation. */
  async #ask<T>(what: string, question: () => Promise<T>): Promise<Answer<T>> {
    try {
      const value = await question();
      this.#tally.count(what, 'done');
      return { how: 'done', value };
    } catch (error) {
      if (!(error instanceof FerryError)) throw new Violation(`${what}: ${inspect(error)}`);
      const { type } = error;
      this.#tally.count(what, type);
      // Deleted in an earlier try whose answer got lost.
      if (what.startsWith('delete') && (type === 'VolumeNotFound' || type === 'SnapshotNotFound'))
        return { how: 'refused', type };
      if (refusals.has(type)) return { how: 'refused', type };
      if (failures.has(type)) return { how: 'unclear', type };
      throw new Violation(`${what}: ${type}: ${error.message}`);
    }
  }

  /** Asks until Postgres answers: for what only looks. */
  async #asked<T>(question: () => Promise<T>): Promise<T> {
    let answer: { value: T } | undefined;
    await this.#until('an answer', async () => {
      answer = { value: await question() };
      return true;
    });
    return answer!.value;
  }

  async #until(what: string, ask: (look: number) => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + patienceMs;
    let last: unknown = null;
    for (let look = 0; Date.now() < deadline; look++) {
      try {
        if (await ask(look)) return;
      } catch (error) {
        // Postgres or Temporal is away at the moment.
        if (error instanceof Violation || (error as { code?: string }).code === 'ERR_ASSERTION') throw error;
        last = error;
      }
      await sleep(lookEveryMs);
    }
    const volume = await this.#ferry.findVolume(this.#id).catch(() => null);
    const state = JSON.stringify(volume);
    throw new Violation(`not so after ${patienceMs / 1000} s: ${what}; ${state}; ${String(last)}`);
  }
}

function urlOf(attachment: Attachment): string {
  const { host, port, exportName } = nbdConnection.parse(attachment.connection);
  return `nbd://${host}:${port}/${exportName}`;
}

async function qemuIo(url: string, ...commands: string[]): Promise<{ exitCode: number | undefined; stdout: string }> {
  const argv = ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), url];
  const { exitCode, stdout } = await execa('qemu-io', argv, { reject: false, timeout: 20_000, stdin: 'ignore' });
  // It ends well when only its commands failed.
  return { exitCode: /error|failed/i.test(stdout) ? 1 : exitCode, stdout };
}

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Ferry } from '../../client/open-ferry.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { gib } from '../../model/sizes.ts';
import type { Place } from '../end-to-end/sight.ts';
import type { Stage } from '../end-to-end/stage.ts';
import { type Answer, ask, until, Violation } from './answers.ts';
import { makeVolumeTrue, removeByHand } from './operator.ts';
import type { Moment, Past } from './past.ts';
import { backEnds, type SharedStep } from './scenario.ts';
import type { Tally } from './tally.ts';

/** For what is left of a volume at rest to be taken away. Milliseconds. */
const leftoversMs = 120_000;
/** So often an upheaval may come between before it is held off. */
const looksBeforePeace = 3;
/** What nobody carries on is looked for so often. Looks. */
export const repairEveryNthLook = 6;

/** Where volumes live. */
export interface World {
  ferry: Ferry;
  stage: Stage;
  tally: Tally;
  past: Past;
}

/** One volume from its creation to its deletion, whoever uses it. */
export abstract class LivingVolume implements World {
  readonly ferry: Ferry;
  readonly stage: Stage;
  readonly tally: Tally;
  readonly past: Past;
  protected readonly home: string;
  protected id = '';
  /** Where it was made: `home`, if there was room. */
  #firstHost = '';
  readonly #bornAt: Moment;

  constructor({ ferry, stage, tally, past }: World, home: string) {
    this.ferry = ferry;
    this.stage = stage;
    this.tally = tally;
    this.past = past;
    this.#bornAt = past.now();
    this.home = home;
  }

  /** Lives a whole life, of which `living` is the middle; throws `Violation`. */
  protected async lived(living: () => Promise<void>): Promise<void> {
    try {
      if (!(await this.#born())) return;
      await living();
      await this.settle();
      await this.#look();
      await this.#die();
    } catch (error) {
      if (!(error instanceof Violation) || !this.past.lost.has(this.id)) throw error;
      this.tally.count('volume', 'lost with its disks, and told so');
    }
  }

  /** What its bytes, of a volume at rest, must not be; empty when all is well. */
  protected abstract wrong(file: string): Promise<string[]>;

  /** Before the last look: takes away what only this kind of life has. */
  protected abstract tidy(): Promise<void>;

  async #born(): Promise<boolean> {
    const name = `life-${randomUUID()}`;
    const tries = [this.home, ...backEnds.filter((other) => other !== this.home)];
    for (const backEnd of tries) {
      const made = await this.ask('create', () => this.ferry.createVolume({ sizeBytes: gib, name, backEnd }));
      if (made.how === 'done') {
        this.id = made.value.volume.id;
        this.#firstHost = backEnd;
        return true;
      }
      if (made.how === 'unclear') break;
    }
    // What may have come of it goes, whatever state it is in.
    await this.until('what a failed create left is deleted', async () => {
      // What was forgotten of it comes back with the repair.
      const [left] = await this.past.steadily(async () =>
        (await this.ferry.listVolumes()).filter((volume) => volume.name === name),
      );
      if (!left) return true;
      this.past.unwanted.add(left.id);
      await this.ask('delete', () => this.ferry.deleteVolume(left.id, { force: true }));
      return false;
    });
    return false;
  }

  /** What was not clear is tidied up, as an operator would. */
  protected async afterwards(answer: Answer<unknown>): Promise<void> {
    if (answer.how === 'unclear') await this.settle();
  }

  /** Resolves when no migration runs. */
  protected async migrated(): Promise<void> {
    await this.until('its migration ends', async (look) => {
      const [last] = await this.ferry.listMigrations({ volumeId: this.id });
      if (!last || last.outcome !== null) return true;
      // One that was paused waits for its operator.
      if (look % 4 === 3) await this.ask('resume', () => this.ferry.resumeMigration(this.id));
      // One whose cap is below what its guest writes never ends: its operator takes the cap off.
      if (look % 40 === 39) await this.ask('set the cap', () => this.ferry.setBandwidth(this.id, null));
      return false;
    });
  }

  protected async detach(): Promise<Answer<unknown>> {
    return this.ask('detach', () => this.ferry.detachVolume(this.id));
  }

  /** Brings it to rest: no migration, no operation, no attachment, and `available`. Fails when Ferry cannot be brought to that. */
  protected async settle(): Promise<void> {
    await this.migrated();
    let calm = 0;
    await this.until('it comes to rest', async (look) => {
      const { volume, attachments } = await this.ferry.findVolume(this.id);
      const isFree = volume.migrationStatus === null && volume.operation === null;
      if (isFree && volume.status === 'available' && attachments.length === 0) return ++calm === 2;
      calm = 0;
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.ask('repair', () => this.ferry.repair({ volumeId: this.id }));
      if (!isFree) return false;
      if (attachments.length > 0) await this.detach();
      else if (volume.status !== 'available')
        await this.ask('reset-state', () => this.ferry.resetState({ volumeId: this.id, status: 'available' }));
      return false;
    });
  }

  /** All that an onlooker who knows nothing of Ferry can see. An evacuation may move the volume meanwhile: then it looks again. */
  async #look(): Promise<void> {
    await this.tidy();
    for (let nth = 0; ; nth += 1) {
      const look = () => this.#lookOnce();
      if (await (nth < looksBeforePeace ? look() : this.past.peacefully(look))) return;
    }
  }

  /** False: there was an upheaval meanwhile, or the volume was moved. */
  async #lookOnce(): Promise<boolean> {
    await this.past.quiet();
    const since = this.past.now();
    await this.settle();
    const records = await this.migrations();
    const seen = await this.#see(records).then(
      () => null,
      (error: unknown) => error,
    );
    if ((await this.migrations()).length !== records.length || !this.past.isQuietSince(since)) return false;
    if (seen !== null) throw seen instanceof Violation ? seen : new Violation(inspect(seen));
    for (const { outcome } of records) this.tally.count('migration', outcome ?? 'unfinished');
    return true;
  }

  protected migrations(): Promise<MigrationRecord[]> {
    return this.asked(() => this.ferry.listMigrations({ volumeId: this.id }));
  }

  async #see(records: readonly MigrationRecord[]): Promise<void> {
    const recorded = records.find(({ outcome }) => outcome === 'success')?.destination ?? this.#firstHost;
    // The record of its last migration may have been forgotten.
    const isRecorded = this.past.isQuietSince(this.#bornAt);
    const host = isRecorded ? recorded : (await this.asked(() => this.ferry.findVolume(this.id))).volume.host;
    const meanwhile = async () => {
      const report = await this.ask('repair', () =>
        this.ferry.repair({ volumeId: this.id, orphanGraceSeconds: 0, rollForward: true }),
      );
      if (!isRecorded && report.how === 'done') await removeByHand(this, report.value);
    };
    const { checker } = this.stage;
    const contents = await this.asked(() => checker.contents(this.id));
    await this.asked(() => checker.assertAt(this.id, { host, contents }, { settleMs: leftoversMs, meanwhile }));
    const wrong = await this.asked(async () => this.wrong(this.file(await this.place())));
    if (wrong.length > 0) throw new Violation(wrong.join('; '));
  }

  async #die(): Promise<void> {
    this.past.unwanted.add(this.id);
    await this.until('it is deleted', async (look) => {
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.ask('repair', () => this.ferry.repair({ volumeId: this.id, orphanGraceSeconds: 0 }));
      const deleted = await this.ask('delete', () => this.ferry.deleteVolume(this.id, { force: true }));
      if (deleted.how === 'done') return true;
      if (deleted.how !== 'refused') return false;
      if (await this.#isGone()) return true;
      // The registry has forgotten its last detach.
      const { attachments } = await this.ferry.findVolume(this.id);
      if (attachments.length > 0) await this.detach();
      return false;
    });
    const left = await this.past.steadily(async () =>
      (await this.stage.sight.devices()).filter(({ place, tags }) =>
        `${place.join('/')} ${tags.join(' ')}`.includes(this.id),
      ),
    );
    if (left.length > 0) throw new Violation(`it was deleted, and left ${JSON.stringify(left)}`);
  }

  async #isGone(): Promise<boolean> {
    return (await this.ferry.listVolumes()).every(({ id }) => id !== this.id);
  }

  protected async place(): Promise<Place> {
    const { volume } = await this.asked(() => this.ferry.findVolume(this.id));
    const [node, group] = volume.host.split('@') as [string, string];
    return [node, group, `volume-${volume.nameId ?? volume.id}`];
  }

  protected file([node, group, device]: Place): string {
    return join(this.stage.directory, 'nodes', node, group, 'volumes', device);
  }

  /** Of all volumes, however they are used. */
  protected async take(step: SharedStep): Promise<void> {
    switch (step.do) {
      case 'migrate': {
        const { to, verify, bandwidth, forceHostCopy } = step;
        if (verify === 'none' || verify === 'inline') this.past.unproven.add(this.id);
        const request = {
          volumeId: this.id,
          destination: to,
          verify,
          bandwidth,
          forceHostCopy,
          nodeTimeoutSeconds: 120,
        };
        await this.ask('migrate', () => this.ferry.startMigration(request));
        return;
      }
      case 'cancel':
        await this.ask('cancel', () => this.ferry.cancelMigration(this.id));
        return;
      case 'pause':
        await this.ask('pause', () => this.ferry.pauseMigration(this.id));
        return;
      case 'resume':
        await this.ask('resume', () => this.ferry.resumeMigration(this.id));
        return;
      case 'wait for migration':
        return this.migrated();
      case 'wait':
        await sleep(step.ms);
    }
  }

  protected async ask<T>(what: string, question: () => Promise<T>): Promise<Answer<T>> {
    const answer = await ask(this, what, question);
    if (answer.how !== 'done' && answer.type === 'NeedsRepair' && this.past.isQuietSince(this.past.now()))
      await ask(this, 'repair', () => makeVolumeTrue(this, this.id));
    return answer;
  }

  /** Asks until Postgres answers, and the file systems are mounted: for what only looks. */
  protected async asked<T>(question: () => Promise<T>): Promise<T> {
    let answer: { value: T } | undefined;
    await this.until('an answer', async () => {
      answer = { value: await question() };
      return true;
    });
    return answer!.value;
  }

  protected until(what: string, look: (nth: number) => Promise<boolean>): Promise<void> {
    const lookUnlessLost = async (nth: number) => {
      if (this.past.lost.has(this.id)) throw new Violation(`volume ${this.id} is lost with its disks`);
      return look(nth);
    };
    const state = async () => ({
      ...(await this.ferry.findVolume(this.id)),
      migration: await this.ferry.migrationState(this.id).catch(() => null),
    });
    return until(what, lookUnlessLost, state);
  }
}

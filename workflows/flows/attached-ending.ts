import { CancellationScope, patched } from '@temporalio/workflow';
import type { Reason } from '../../model/errors.ts';
import type { Claim } from '../../model/migration.ts';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import { computeSteps, registry } from '../activities.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { sideOf } from '../guest-side.ts';
import type { MigrationRun } from '../migration-run.ts';
import type { AttachedDestination } from './attached-destination.ts';
import type { AttachedDisk } from './attached-mirror.ts';

/** Which of the two devices the guest writes to. */
type Side = 'source' | 'destination';

/** How long a compute worker may be away before a mirror is ended without it, and how long it may take to end it. Seconds. */
const abortAway = 30;
const abortPatience = 150;

/** A look that an operator waits for. Seconds. */
const lookPatience = 30;

/** What could not be told is looked at again by itself after so long, and then twice as long each time. Seconds. */
const firstLookAgain = 30;
const longestLookAgain = 1800;

/**
 * The end of a mirror, one way or the other. Nothing in here can be cancelled: what was begun is carried on until it is known which side
 * the guest writes to, by machine or by an operator.
 */
export class AttachedEnding {
  readonly #run: MigrationRun;
  readonly #claim: Claim;
  readonly #disk: AttachedDisk;
  readonly #destination: AttachedDestination;
  /** A pivot was asked for, and nobody knows what came of it. */
  #uncertain = false;
  /** The QEMU that was asked for it: only that one can tell that it never turned. In the history before it is asked. */
  #asked: QemuIdentity | null = null;
  /** The operator's word, once it is given. */
  #word: Side | null = null;
  #lookAgain = firstLookAgain;

  constructor(run: MigrationRun, claim: Claim, disk: AttachedDisk, destination: AttachedDestination) {
    this.#run = run;
    this.#claim = claim;
    this.#disk = disk;
    this.#destination = destination;
  }

  /** Turns the guest to the destination. False: the mirror was lost before, the guest is on the source, and a new one may begin. */
  async pivot(): Promise<boolean> {
    const run = this.#run;
    run.throwIfCancelled();
    const qemu = await this.#steps(run.request.nodeTimeoutSeconds).beginPivot.executeWithOptions(
      { summary: `which QEMU runs instance ${this.#disk.instance}?` },
      [this.#move()],
    );
    run.throwIfCancelled();
    run.enter('switching');
    return this.#known(async () => {
      // The last moment at which a claim that is not ours any more can still stop us.
      await registry.enterPhase.executeWithOptions({ summary: 'record: switching' }, [
        { claim: this.#claim, phase: 'switching', qemu },
      ]);
      this.#asked = qemu;
      for (;;) {
        try {
          await this.#steps(run.request.nodeTimeoutSeconds).pivotDisk.executeWithOptions(
            { summary: `turn instance ${this.#disk.instance} to the destination: the guest's point of no return` },
            [this.#move()],
          );
          run.waitFor(null);
          return true;
        } catch (error) {
          const reason = reasonOf(error);
          if (reason.type === 'MirrorFailed') {
            // Only the QEMU that was asked brings about this answer: it is on the source, and always was.
            this.#uncertain = false;
            this.#asked = null;
            run.enter('copying');
            return false;
          }
          // A try of which nothing was heard may have turned the guest just before it ended.
          if (reason.type === 'InstanceNotReady' && !this.#uncertain) throw error;
          this.#uncertain = true;
          if (reason.type === 'NoProgress') await this.#destination.endExport();
          else if (await this.#isAway(reason)) run.waitFor(this.#hypervisor(reason));
          else {
            const side = await this.#ask(reason);
            if (side === 'source') throw failureOf(decided(side, reason));
            if (side === 'destination' && (await this.#saveDestination())) return true;
          }
        }
      }
    });
  }

  /** Ends the mirror, and tells which side the guest is on. On `source` nothing of the hypervisor reaches the destination any more. */
  retreat(): Promise<Side> {
    return this.#known(async () => {
      for (;;) {
        try {
          await this.#steps(abortPatience, abortAway).abortMirror.executeWithOptions(
            { summary: `end the mirror of instance ${this.#disk.instance}'s disk` },
            [this.#move()],
          );
          return 'source';
        } catch (error) {
          const reason = reasonOf(error);
          if (reason.type === 'PastPointOfNoReturn') return 'destination';
          // Where nobody has asked for a pivot: without its export the destination is out of the mirror's reach, and the guest stays.
          if (mayAnswerLater(reason) && this.#destination.isExported && !this.#uncertain) return 'source';
          if (reason.type === 'NoProgress') await this.#destination.endExport();
          else if (await this.#isAway(reason)) this.#run.waitFor(this.#hypervisor(reason));
          else {
            const side = this.#word ?? (await this.#ask(reason));
            if (side !== 'again') return side;
          }
        }
      }
    });
  }

  /** Carries on until it is known. Then no operator is waited for any more, be it his word that told or a look. */
  async #known<T>(look: () => Promise<T>): Promise<T> {
    try {
      return await CancellationScope.nonCancellable(look);
    } finally {
      if (this.#run.parking.reason) this.#run.parking.close();
    }
  }

  /** How long an operator's word is waited for until it is looked again by itself. Seconds. */
  #untilLook(): number | null {
    if (!patched('what an operator is asked for is looked at again')) return null;
    const seconds = this.#lookAgain;
    this.#lookAgain = Math.min(seconds * 2, longestLookAgain);
    return seconds;
  }

  /** An operator's word, unless the guest's QEMU plainly contradicts it; `again` when he wants another look, or says nothing. */
  async #ask(reason: Reason): Promise<Side | 'again'> {
    for (let why = reason; ;) {
      const word = await this.#run.parking.wait(why, this.#untilLook());
      if (word === null || word === 'probe') return 'again';
      const stands = await this.#look();
      if (stands === null || stands.on === word) return (this.#word = word);
      const first = stands.mayHaveBeen ? ' Turn it off first, so that it writes no more to the source.' : '';
      why = {
        ...reason,
        message: `An operator said "${word}", but the guest is on the ${stands.on}.${first} ${reason.message}`,
      };
    }
  }

  /** An operator found the truth on the destination, and the guest does not run: it must not start on the source. False: it does run. */
  async #saveDestination(): Promise<boolean> {
    try {
      await this.#steps(lookPatience).pivotDisk.executeWithOptions(
        {
          summary: `write the destination into the definition of instance ${this.#disk.instance}: an operator decided`,
        },
        [{ ...this.#move(), isDecided: true }],
      );
      return true;
    } catch (error) {
      // A hypervisor that is away has its definitions put right when it is back.
      return mayAnswerLater(reasonOf(error));
    }
  }

  /** Where a running guest writes to; null when that cannot be told. `mayHaveBeen`: it may have written to the other side before. */
  async #look(): Promise<{ on: Side; mayHaveBeen: boolean } | null> {
    try {
      const stands = await this.#steps(lookPatience).probeDisk.executeWithOptions(
        { summary: `where does instance ${this.#disk.instance} write to?` },
        [this.#move()],
      );
      const on = sideOf(stands);
      return on && { on, mayHaveBeen: stands.kind === 'park' };
    } catch {
      return null;
    }
  }

  #move() {
    const { computeHost: _, ...at } = this.#disk;
    return { ...at, destination: this.#destination.source, ...(this.#asked ? { asked: this.#asked } : {}) };
  }

  #steps(patienceSeconds: number, awaySeconds?: number) {
    return computeSteps(this.#disk.computeHost, patienceSeconds, awaySeconds);
  }

  /** The hypervisor does not answer now and may later. One that was declared gone never will: an operator is asked instead. */
  async #isAway(reason: Reason): Promise<boolean> {
    if (reason.type !== 'NodeUnavailable') return mayAnswerLater(reason);
    const name = this.#disk.computeHost;
    return registry.hasComputeWorker.executeWithOptions({ summary: `was ${name} declared gone for good?` }, [{ name }]);
  }

  #hypervisor(reason: Reason): string {
    return `the hypervisor ${this.#disk.computeHost}: ${reason.message}`;
  }
}

function mayAnswerLater({ type }: Reason): boolean {
  return type === 'NodeUnavailable' || type === 'ServiceUnreachable' || type === 'ToolFailed';
}

function decided(side: Side, reason: Reason): Reason {
  return { ...reason, message: `An operator decided: the guest is on the ${side}. ${reason.message}` };
}

import { CancellationScope, condition, setHandler } from '@temporalio/workflow';
import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import { resolutionPayload, type Resolution } from '../model/messages.ts';
import { failureOf } from './failures.ts';
import * as messages from './messages.ts';
import type { MigrationRun } from './migration-run.ts';

/**
 * A migration of which no machine can tell which side the guest writes to: it keeps the claim and both devices, and waits for an
 * operator who has looked.
 */
export class Parking {
  readonly #run: MigrationRun;
  #reason: Reason | null = null;
  #resolution: Resolution | null = null;
  /** Nobody has said a word for a while, and it looks again by itself. */
  #looking = false;

  constructor(run: MigrationRun) {
    this.#run = run;
    setHandler(messages.resolveParked, (resolution) => void (this.#resolution = resolution), {
      validator: (payload: unknown) => {
        const parsed = resolutionPayload.safeParse(payload);
        if (!parsed.success) throw failureOf({ type: 'InvalidInput', message: z.prettifyError(parsed.error) });
        if (this.#reason && !this.#resolution) return;
        throw failureOf({
          type: 'InvalidInput',
          message: `The migration of volume ${run.request.volumeId} does not wait for an operator.`,
        });
      },
    });
  }

  /** Why it waits for an operator; null when it does not. */
  get reason(): Reason | null {
    return this.#reason;
  }

  /** From now on an operator's word is taken, whatever is tried meanwhile. */
  open(reason: Reason, waitingFor: string): void {
    this.#reason = reason;
    this.#run.waitFor(waitingFor);
  }

  /** The operator's word, once: as soon as it is said, or null after so many seconds without. A cancel changes nothing. */
  async word(seconds: number): Promise<Resolution | null> {
    await CancellationScope.nonCancellable(() => condition(() => this.#resolution !== null, `${seconds}s`));
    const word = this.#resolution;
    this.#resolution = null;
    return word;
  }

  /** No operator is needed any more. */
  close(): void {
    this.#reason = null;
    this.#resolution = null;
    this.#looking = false;
    this.#run.waitFor(null);
  }

  /**
   * Waits for the operator's word: a cancel changes nothing. Null when none was said for so many seconds: then what was not known is looked
   * at again, and a word is taken meanwhile, until `wait` or `close`. No number of seconds: for as long as it takes.
   */
  async wait(reason: Reason, seconds: number | null): Promise<Resolution | null> {
    const { volumeId } = this.#run.request;
    this.#reason = reason;
    const waitingFor = `an operator: ${reason.message} Look at the guest, then: ferry migration resolve ${volumeId} source|destination|probe`;
    if (this.#looking) this.#run.waitFor(waitingFor);
    else {
      this.#resolution = null;
      this.#run.parked(waitingFor);
    }
    const isSaid = () => this.#resolution !== null;
    await CancellationScope.nonCancellable(async () => {
      if (seconds === null) await condition(isSaid);
      else await condition(isSaid, `${seconds}s`);
    });
    const word = this.#resolution;
    this.#looking = word === null;
    if (word !== null) this.close();
    return word;
  }
}

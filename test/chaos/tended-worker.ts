import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedWorker } from '../../testbed/process-worker.ts';

/** For a start that was begun just before to be seen. Milliseconds. */
const aMomentMs = 300;

/** A worker that its operator may stop: then it is not started again until he lets it. */
export class TendedWorker implements ManagedWorker {
  readonly #worker: ManagedWorker;
  #isStopped = false;

  constructor(worker: ManagedWorker) {
    this.#worker = worker;
  }

  start(): Promise<void> {
    return this.#worker.start();
  }

  signal(signal: NodeJS.Signals): Promise<void> {
    return this.#worker.signal(signal);
  }

  /** Also when there is nothing that a process manager should do. */
  isRunning(): boolean {
    return this.#isStopped || this.#worker.isRunning();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    do {
      await this.#worker.signal('SIGKILL');
      await sleep(aMomentMs);
    } while (this.#worker.isRunning());
  }

  mayStart(): void {
    this.#isStopped = false;
  }
}

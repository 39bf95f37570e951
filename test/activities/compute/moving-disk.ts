import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MockActivityEnvironment } from '@temporalio/testing';
import { FerryError, type FerryErrorType } from '../../../model/errors.ts';
import type { ExportedImage } from './exported-image.ts';
import { activityContext, type Guest, type Hypervisor, type TestVolume } from './hypervisor.ts';

/** A volume that is attached to a guest and on the move, and what the tests do with it. */
export class MovingDisk {
  readonly volume: TestVolume;
  readonly device: string;
  readonly #hypervisor: Hypervisor;
  readonly #guest: Guest;

  private constructor(hypervisor: Hypervisor, guest: Guest, volume: TestVolume, device: string) {
    this.#hypervisor = hypervisor;
    this.#guest = guest;
    this.volume = volume;
    this.device = device;
  }

  static async attach(
    hypervisor: Hypervisor,
    guest: Guest,
    spec: Parameters<Hypervisor['volume']>[0] = {},
  ): Promise<MovingDisk> {
    const volume = await hypervisor.volume(spec);
    return new MovingDisk(hypervisor, guest, volume, await guest.attach(volume));
  }

  get move() {
    return this.#guest.move(this.volume);
  }

  mirror(bandwidth: number | null = null, context?: MockActivityEnvironment) {
    return this.#hypervisor.run(this.#hypervisor.activities.mirrorDisk, { ...this.move, bandwidth }, context);
  }

  /** Starts a mirror slow enough to be met in the middle; returns when it is under way. `ended`: the failure, or null. */
  async mirrorUnderWay(): Promise<{ ended: Promise<unknown>; cancel: () => void }> {
    const context = activityContext();
    const ended = this.mirror(2 ** 21, context).then(
      () => null,
      (error: unknown) => error,
    );
    for (let tries = 0; (await this.stands()) !== 'copying'; tries += 1)
      assert.ok(tries < 100, 'the mirror does not begin');
    return { ended, cancel: () => context.cancel() };
  }

  pivot(context?: MockActivityEnvironment) {
    return this.#hypervisor.run(this.#hypervisor.activities.pivotDisk, this.move, context);
  }

  abort() {
    return this.#hypervisor.run(this.#hypervisor.activities.abortMirror, this.move);
  }

  async stands(): Promise<string> {
    return (await this.#hypervisor.run(this.#hypervisor.activities.probeDisk, this.move)).kind;
  }

  /** The guest goes on writing, and every record that it has acknowledged is in the image, with no gap and no error. */
  async assertWholeOn(image: ExportedImage): Promise<void> {
    const acked = await this.#guest.console.progress(this.device, 5);
    const found = await this.#guest.recordsOf(image);
    assert.equal(found.torn, 0);
    assert.deepEqual(found.missing, []);
    assert.ok(found.highest >= acked, `record ${acked} was acknowledged, ${found.highest} is the last one there`);
    const { errors, complaints } = await this.#guest.console.disk(this.device);
    assert.deepEqual({ errors, complaints }, { errors: 0, complaints: [] });
  }

  /** Takes the disk out and waits until the guest says that it is gone. */
  async detach(): Promise<void> {
    await this.#guest.detach(this.volume);
    await this.#guest.console.gone(this.device);
    await this.volume.source.kill();
    await this.volume.destination.kill();
  }
}

/** Asks again until it is so. */
export async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries += 1) {
    assert.ok(tries < 100, 'it does not come to be so');
    await sleep(200);
  }
}

export function assertFailure(error: unknown, type: FerryErrorType): void {
  assert.ok(error instanceof FerryError, `${type} expected, not ${String(error)}`);
  assert.equal(error.type, type, error.message);
}

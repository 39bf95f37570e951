import {
  ActivityFailure,
  CancellationScope,
  CancelledFailure,
  TimeoutFailure,
  condition,
  patched,
  setCurrentDetails,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { migrationDetails, type MigrationEnd } from '../model/migration-details.ts';
import type { ClaimedMigration, MigrationRequest, MigrationState, Phase, VerifyMode } from '../model/migration.ts';
import type { OperationTicket, RefusedOperation } from '../model/operation-requests.ts';
import { searchAttributes } from '../model/search-attributes.ts';
import { MigrationStoryTeller } from './migration-story.ts';
import { Parking } from './parking.ts';

const keys = {
  volume: defineSearchAttributeKey(searchAttributes.volume, 'KEYWORD'),
  source: defineSearchAttributeKey(searchAttributes.source, 'KEYWORD'),
  destination: defineSearchAttributeKey(searchAttributes.destination, 'KEYWORD'),
  phase: defineSearchAttributeKey(searchAttributes.phase, 'KEYWORD'),
  flow: defineSearchAttributeKey(searchAttributes.flow, 'KEYWORD'),
  tenant: defineSearchAttributeKey(searchAttributes.tenant, 'KEYWORD'),
};

/** Phases from which there is no way back: the switch is under way or done. */
const pastReturn: ReadonlySet<Phase> = new Set(['switching', 'cleaning-up', 'finished']);

/** Refused operations that are remembered one by one; all are counted. */
const refusalsKept = 50;

/** One migration's state as its workflow knows it, and the controls that messages turn. Lives as long as the workflow run. */
export class MigrationRun {
  readonly request: MigrationRequest;
  readonly state: MigrationState;
  /** All work before the switch runs in here; cancelling it starts the way back. */
  readonly scope = new CancellationScope();
  /** The last refused, the oldest first. */
  readonly refused: RefusedOperation[] = [];
  readonly parking: Parking;
  #switched = false;
  #isBrief: boolean | null = null;
  readonly #story = new MigrationStoryTeller();
  readonly #transfers = new Set<CancellationScope>();

  constructor(request: MigrationRequest) {
    this.request = request;
    this.state = {
      migrationId: workflowInfo().runId,
      volumeId: request.volumeId,
      source: null,
      destination: request.destination,
      flow: null,
      phase: 'claiming',
      paused: false,
      bandwidth: request.bandwidth,
      verify: request.verify,
      totalBytes: 0,
      bytesDone: 0,
      bytesPerSecond: 0,
      zeroedBytes: null,
      waitingFor: null,
      cancelRequested: false,
      refusedOperations: 0,
    };
    upsertSearchAttributes([
      { key: keys.volume, value: request.volumeId },
      { key: keys.destination, value: request.destination },
      { key: keys.phase, value: 'claiming' },
    ]);
    this.parking = new Parking(this);
    this.#story.entered('claiming');
    this.show();
  }

  /** The claim stands: from here on it is known what moves, from where, how. */
  claimed(m: ClaimedMigration): void {
    Object.assign(this.state, { source: m.source.backEnd, flow: m.flow, totalBytes: m.sizeBytes });
    upsertSearchAttributes([
      { key: keys.source, value: m.source.backEnd },
      { key: keys.flow, value: m.flow },
      { key: keys.tenant, value: m.tenantId },
      { key: keys.phase, value: 'preparing' },
    ]);
    upsertMemo({ migrationId: m.claim.migrationId, sizeBytes: m.sizeBytes });
    this.state.phase = 'preparing';
    this.#story.entered('preparing');
    this.show();
  }

  enter(phase: Phase): void {
    if (this.state.phase === phase) return;
    this.state.phase = phase;
    if (phase === 'cleaning-up') this.#switched = true;
    Object.assign(this.state, { waitingFor: null, zeroedBytes: null });
    upsertSearchAttributes([{ key: keys.phase, value: phase }]);
    this.#story.entered(phase);
    this.show();
  }

  /** Nothing is left to do; how it ended stays to be seen. */
  finish(end: MigrationEnd): void {
    this.#story.ended(end);
    this.enter('finished');
  }

  /** No node is asked twice at once for the same, or waited for without need. Decided once, as a migration that began before is to end as it began. */
  get isBrief(): boolean {
    return (this.#isBrief ??= patched(
      'both ends are asked at once, and what has just said that it holds a volume is believed',
    ));
  }

  get pastPointOfNoReturn(): boolean {
    return pastReturn.has(this.state.phase);
  }

  /** Where the volume is; null before the claim has told. */
  get host(): string | null {
    return this.#switched ? this.state.destination : this.state.source;
  }

  report({
    zeroedBytes = null,
    ...progress
  }: {
    bytesDone: number;
    bytesPerSecond: number;
    zeroedBytes?: number | null | undefined;
  }): void {
    Object.assign(this.state, progress, { zeroedBytes });
    this.#story.progressed();
    this.show();
  }

  /** By which way the bytes come is known: what that means for the verification. */
  verifying(how: VerifyMode): void {
    this.state.verify = how;
    this.show();
  }

  waitFor(what: string | null): void {
    this.state.waitingFor = what;
    this.show();
  }

  /** Neither side can be told by machine: it waits for an operator, and shows for what. */
  parked(waitingFor: string): void {
    this.#story.parked();
    this.waitFor(waitingFor);
  }

  /** Remembers a refused operation. False when it is one of the last ones already: a repeat. */
  refuse({ requestId, operation, requestedBy }: OperationTicket): boolean {
    if (this.refused.some((r) => r.requestId === requestId)) return false;
    this.refused.push({ requestId, operation, requestedBy, phase: this.state.phase, at: new Date().toISOString() });
    if (this.refused.length > refusalsKept) this.refused.shift();
    this.state.refusedOperations += 1;
    this.show();
    return true;
  }

  cancel(): void {
    this.state.cancelRequested = true;
    this.show();
    this.scope.cancel();
  }

  /** A new setting reaches a transfer by stopping it at its last flushed byte; it goes on from there with the setting. */
  change(setting: Setting): void {
    const isNews = (Object.keys(setting) as (keyof Setting)[]).some((key) => setting[key] !== this.state[key]);
    // Asked again and again, a transfer would be stopped as often. Histories of before have it stopped.
    if (!isNews && patched('settings that are no news stop nothing')) return;
    Object.assign(this.state, setting);
    this.show();
    for (const transfer of this.#transfers) transfer.cancel();
  }

  /**
   * Runs one stretch of a transfer so that `change` can stop it; waits first while the migration is paused. Stopped, it is over
   * however it ended, also by the silence of a worker that died before it heard of it: then it is a `CancelledFailure`.
   */
  async stretch<T>(work: () => Promise<T>): Promise<T> {
    await condition(() => !this.state.paused);
    const transfer = new CancellationScope();
    this.#transfers.add(transfer);
    try {
      return await transfer.run(work);
    } catch (error) {
      if (transfer.consideredCancelled && isSilence(error))
        throw new CancelledFailure('The transfer was stopped.', [], error);
      throw error;
    } finally {
      this.#transfers.delete(transfer);
    }
  }

  /** Throws if a cancel has come, or an end of the part of it that asks: called between steps, so that none begins after it. */
  throwIfCancelled(): void {
    if (this.scope.consideredCancelled || CancellationScope.current().consideredCancelled)
      throw new CancelledFailure('The migration was cancelled.');
  }

  show(): void {
    setCurrentDetails(migrationDetails(this.state, this.request, this.#story, this.refused));
  }
}

type Setting = Partial<Pick<MigrationState, 'paused' | 'bandwidth'>>;

function isSilence(error: unknown): error is ActivityFailure {
  return error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;
}

import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import * as z from 'zod';
import type { Reason } from '../../model/errors.ts';
import {
  emptyTally,
  type MoveOutcome,
  type MoveSettings,
  type MovesState,
  type MoveTally,
  type PlannedMove,
} from '../../model/evacuation.ts';
import { bandwidthPayload, cancelMovesPayload, type SteerPayload } from '../../model/messages.ts';
import { migrationPlan } from '../../model/migration-details.ts';
import { migrationRequest } from '../../model/migration.ts';
import { movesDetails } from '../../model/moves-details.ts';
import { migrationWorkflowId } from '../../model/names.ts';
import { searchAttributes } from '../../model/search-attributes.ts';
import { migrations } from '../activities.ts';
import { reasonOf } from '../failures.ts';
import * as messages from '../messages.ts';
import { migrateVolume } from '../migrate-volume.ts';

/** A migration that a plan has begun. */
interface BegunMove {
  volumeId: string;
  runId: string;
  source: string;
  destination: string;
  /** The part of the common bandwidth that it was told last. */
  share: number | null;
}

/** A move that has ended, which is not written yet. */
interface EndedMove {
  volumeId: string;
  reason: Reason | null;
}

/** What a run of the workflow leaves to the next one of its chain. */
export interface Resumed {
  paused: boolean;
  bandwidth: number | null;
  stopping: MoveOutcome | null;
  cancelRunning: boolean;
  begun: BegunMove[];
  ended: EndedMove[];
  windowEndsAt: number | null;
}

/** A cap below this is none that a copy could keep (see `bandwidthPayload`). */
const leastShare = 64 * 1024;

const source = defineSearchAttributeKey(searchAttributes.source, 'KEYWORD');

/** The moves of one plan as their workflow knows them, and the controls that messages turn. */
export class MovesRun {
  readonly state: MovesState;
  readonly settings: MoveSettings;
  /** Why no move begins any more; null while they do. */
  stopping: MoveOutcome | null = null;
  ended: EndedMove[] = [];
  /** Something that the loop must look at has happened. */
  disturbed = false;
  #cancelRunning = false;
  readonly #windowEndsAt: number | null;
  readonly #begun = new Map<string, BegunMove>();

  constructor(
    about: { planId: string; source: string; settings: MoveSettings; windowSeconds: number | null },
    resumed: Resumed | null,
  ) {
    this.settings = about.settings;
    this.state = {
      planId: about.planId,
      source: about.source,
      paused: resumed?.paused ?? false,
      cancelRequested: resumed?.stopping === 'cancelled',
      bandwidth: resumed ? resumed.bandwidth : about.settings.bandwidth,
      waitingFor: null,
      running: [],
      tally: emptyTally(),
    };
    this.stopping = resumed?.stopping ?? null;
    this.#cancelRunning = resumed?.cancelRunning ?? false;
    this.ended = resumed?.ended ?? [];
    this.#windowEndsAt =
      resumed?.windowEndsAt ?? (about.windowSeconds === null ? null : Date.now() + about.windowSeconds * 1000);
    upsertSearchAttributes([{ key: source, value: about.source }]);
    this.#listen();
    this.#watchWindow();
    // A cancel ends what is begun anew, not what is waited for.
    void CancellationScope.nonCancellable(async () => {
      for (const begun of resumed?.begun ?? []) this.#takeOver(begun);
    });
    this.show();
  }

  /** Whether moves may begin now. */
  get mayBegin(): boolean {
    return !this.state.paused && this.stopping === null;
  }

  get running(): string[] {
    return [...this.#begun.keys()];
  }

  /** No move begins any more; the first reason stays. */
  stop(why: MoveOutcome): void {
    this.stopping ??= why;
    this.disturbed = true;
  }

  takeEnded(): EndedMove[] {
    const ended = this.ended;
    this.ended = [];
    return ended;
  }

  async begin(move: PlannedMove): Promise<void> {
    const share = this.#share();
    const request = migrationRequest.parse({
      volumeId: move.volumeId,
      destination: move.destination,
      bandwidth: share,
      verify: this.settings.verify,
      keepSourceSeconds: this.settings.keepSourceSeconds,
      nodeTimeoutSeconds: this.settings.nodeTimeoutSeconds,
      requestedBy: this.settings.requestedBy,
    });
    try {
      const child = await startChild(migrateVolume, {
        workflowId: migrationWorkflowId(move.volumeId),
        parentClosePolicy: 'ABANDON',
        cancellationType: 'ABANDON',
        staticSummary: `volume ${move.volumeId} to ${move.destination}`,
        staticDetails: migrationPlan(request),
        args: [request],
      });
      this.#add({ ...move, runId: child.firstExecutionRunId, share }, child.result());
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      this.#end(move.volumeId, {
        type: 'VolumeMigrating',
        message: `Volume ${move.volumeId} is already migrating: somebody else moves it.`,
      });
    }
  }

  /** What is written of the plan by now; tells running moves of a share that has changed. */
  async tallied(tally: MoveTally): Promise<void> {
    this.state.tally = tally;
    this.show();
    const share = this.#share();
    const told = [...this.#begun.values()].filter((begun) => begun.share !== share);
    await Promise.all(told.map((begun) => ((begun.share = share), this.#steer(begun, { bandwidth: share }))));
  }

  waitFor(what: string | null): void {
    this.state.waitingFor = what;
    this.show();
  }

  /** What the next run of the chain goes on with. */
  resumed(): Resumed {
    return {
      paused: this.state.paused,
      bandwidth: this.state.bandwidth,
      stopping: this.stopping,
      cancelRunning: this.#cancelRunning,
      begun: [...this.#begun.values()],
      ended: this.ended,
      windowEndsAt: this.#windowEndsAt,
    };
  }

  show(): void {
    this.state.running = [...this.#begun.values()].map(({ volumeId, destination }) => ({ volumeId, destination }));
    setCurrentDetails(movesDetails(this.state));
  }

  #share(): number | null {
    const { bandwidth, tally } = this.state;
    if (bandwidth === null) return null;
    const sharers = Math.min(this.settings.limits.total, Math.max(1, tally.volumes.moving + tally.volumes.waiting));
    return Math.max(leastShare, Math.floor(bandwidth / sharers));
  }

  #add(begun: BegunMove, result: Promise<unknown>): void {
    this.#begun.set(begun.volumeId, begun);
    if (this.#cancelRunning) void this.#cancel(begun);
    result.then(
      () => this.#end(begun.volumeId, null),
      (error: unknown) => this.#end(begun.volumeId, reasonOf(error)),
    );
  }

  /** Begun by an earlier run of the chain: it has no child of that name, but the same migration runs. */
  #takeOver(begun: BegunMove): void {
    this.#begun.set(begun.volumeId, begun);
    const { volumeId, runId } = begun;
    migrations.awaitMigration
      .executeWithOptions({ summary: `wait for the migration of volume ${volumeId}` }, [{ volumeId, runId }])
      .then(
        (reason) => this.#end(volumeId, reason),
        (error: unknown) => this.#end(volumeId, reasonOf(error)),
      );
  }

  #end(volumeId: string, reason: Reason | null): void {
    this.#begun.delete(volumeId);
    this.ended.push({ volumeId, reason });
    this.disturbed = true;
  }

  async #steer(begun: BegunMove, payload: SteerPayload): Promise<void> {
    try {
      await CancellationScope.nonCancellable(() =>
        getExternalWorkflowHandle(migrationWorkflowId(begun.volumeId), begun.runId).signal(
          messages.steerMigration,
          payload,
        ),
      );
    } catch {
      // It has ended in the meantime.
    }
  }

  async #cancel(begun: BegunMove): Promise<void> {
    try {
      await CancellationScope.nonCancellable(() =>
        getExternalWorkflowHandle(migrationWorkflowId(begun.volumeId), begun.runId).cancel(),
      );
    } catch {
      // It has ended in the meantime.
    }
  }

  #watchWindow(): void {
    if (this.#windowEndsAt === null) return;
    const left = Math.max(0, this.#windowEndsAt - Date.now());
    void CancellationScope.nonCancellable(() => sleep(left, { summary: 'the maintenance window ends' })).then(() =>
      this.stop('window-over'),
    );
  }

  #listen(): void {
    const pause = async (paused: boolean) => {
      this.state.paused = paused;
      this.disturbed = true;
      this.show();
      await Promise.all([...this.#begun.values()].map((begun) => this.#steer(begun, { paused })));
    };
    setHandler(messages.pauseMoves, () => pause(true));
    setHandler(messages.resumeMoves, () => pause(false));
    setHandler(
      messages.setMovesBandwidth,
      async (bandwidth) => {
        this.state.bandwidth = bandwidth;
        await this.tallied(this.state.tally);
      },
      { validator: (bandwidth: unknown) => checkPayload('bandwidth', bandwidthPayload, bandwidth) },
    );
    setHandler(
      messages.cancelMoves,
      async ({ running }) => {
        this.state.cancelRequested = true;
        this.stop('cancelled');
        this.show();
        if (running === 'finish') return;
        this.#cancelRunning = true;
        await Promise.all([...this.#begun.values()].map((begun) => this.#cancel(begun)));
      },
      { validator: (how: unknown) => checkPayload('cancel', cancelMovesPayload, how) },
    );
    setHandler(messages.movesState, () => this.state);
    // The Web UI's own cancel: nothing new begins, what runs ends.
    CancellationScope.current().cancelRequested.catch(() => {
      this.state.cancelRequested = true;
      this.stop('cancelled');
      this.show();
    });
  }
}

function checkPayload(name: string, schema: z.ZodType, payload: unknown): void {
  const parsed = schema.safeParse(payload);
  if (!parsed.success)
    throw ApplicationFailure.nonRetryable(`${name}: ${z.prettifyError(parsed.error)}`, 'InvalidInput');
}

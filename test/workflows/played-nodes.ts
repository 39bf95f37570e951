import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { heartbeat, Context } from '@temporalio/activity';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Rest } from '../../activities/compute/mirror-speed.ts';
import type { Verdict } from '../../activities/compute/verdict.ts';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import { labelsOf, liveTags, standingOf } from '../../model/device.ts';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput, MigrationState } from '../../model/migration.ts';
import {
  attachmentExportName,
  computeQueue,
  controlQueue,
  migrationWorkflowId,
  storageQueue,
} from '../../model/names.ts';
import { reportComputeNode } from '../../registry/compute-nodes.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { activityFailures } from '../../workers/activity-failures.ts';
import { createControlWorker } from '../../workers/control.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';
import { installRuntime } from '../../workers/runtime.ts';
import { testRegistry } from '../registry/database.ts';
import { destination, putAttachment, putBackEnd, putVolume, source } from '../registry/world.ts';

export const playedQemu = { pid: 4711, startedAt: 1, bootId: 'boot' };
export const playedDomain = '3e0a3c34-0000-4000-8000-000000000001';

/** What a played hypervisor answers: an error's type, or what happens before the answer. */
type Turn = FerryErrorType | (() => Promise<void> | void);

/**
 * Temporal, a control worker and a registry for real; the nodes are played: for what no real hypervisor can be brought to do at
 * will. A played step does nothing, is remembered, and fails when its next turn says so.
 */
export class PlayedNodes {
  /** Every step on a node since `attached`, in order; repeats by Temporal included. */
  readonly steps: string[] = [];
  verdict: Verdict['kind'] = 'not-started';
  /** Where a mirror is that is `copying` or `ready`. */
  position = { bytesDone: 7, totalBytes: 7, speed: 0, paused: false };
  /** What a guest does whose verdict is `park`. */
  writesTo: 'source' | null = null;
  /** What the last look was asked. */
  probed: unknown = null;
  /** Whether what is written to a destination takes room even where it is zeros. */
  zerosTakeRoom = false;
  /** Whether the destination's node can compare it with what it is mirrored from. */
  compares = false;
  /** What that comparison leaves out. Bytes. */
  unproven = 0;
  /** Where a mirror that is held rests, look by look; after these it does not. */
  rests: (Rest | null)[] = [];
  /** What the storage nodes say is on their back ends. */
  left: string[] = [];
  readonly registry: Registry;
  readonly client: Client;
  readonly #turns = new Map<string, Turn[]>();
  readonly #during = new Map<string, (input: unknown) => Promise<void> | void>();
  readonly #ends: (() => Promise<unknown>)[];
  #compute: { worker: Worker; run: Promise<void> } | null = null;
  readonly #connection: NativeConnection;

  private constructor(
    registry: Registry,
    client: Client,
    connection: NativeConnection,
    ends: (() => Promise<unknown>)[],
  ) {
    this.registry = registry;
    this.client = client;
    this.#connection = connection;
    this.#ends = ends;
  }

  static async start(storageNodes: readonly string[] = ['server1', 'server2']): Promise<PlayedNodes> {
    const directory = await mkdtemp(join(tmpdir(), 'ferry-played-'));
    const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
    installRuntime({ logLevel: 'error' });
    const temporal = await startTemporal({ directory });
    ends.push(() => temporal.stop());
    const registry = await testRegistry();
    const connection = await NativeConnection.connect({ address: temporal.address });
    ends.push(() => connection.close());
    const own = await Connection.connect({ address: temporal.address });
    ends.push(() => own.close());
    const nodes = new PlayedNodes(registry, new Client({ connection: own }), connection, ends);
    const control = await createControlWorker({ connection, namespace: 'default', registry, orphanGraceSeconds: 3600 });
    const run = control.run();
    ends.push(() => (control.stop(), run));
    for (const node of storageNodes) await nodes.#play(storageQueue(node), nodes.#storage());
    await nodes.startCompute();
    return nodes;
  }

  /** A storage node that is not played, but does what its activities do. */
  async serve(node: string, activities: object): Promise<void> {
    await this.#play(storageQueue(node), activities);
  }

  async stop(): Promise<void> {
    await this.stopCompute();
    for (const end of this.#ends.toReversed()) await end();
  }

  async startCompute(): Promise<void> {
    this.#compute = await this.#worker(computeQueue('hv1'), this.#hypervisor());
  }

  async stopCompute(): Promise<void> {
    this.#compute?.worker.shutdown();
    await this.#compute?.run;
    this.#compute = null;
  }

  /** What the next calls of a step do; after them it succeeds. */
  next(step: string, ...turns: Turn[]): void {
    this.#turns.set(step, turns);
  }

  /** What every call of a step does before it succeeds. */
  during(step: string, does: (input: never) => Promise<void> | void): void {
    this.#during.set(step, does as (input: unknown) => Promise<void> | void);
  }

  /** Every step succeeds at once again. */
  calm(): void {
    this.#turns.clear();
    this.#during.clear();
  }

  /** A volume that is attached to a guest on `hv1`, which has a compute worker. */
  async attached(): Promise<string> {
    this.steps.length = 0;
    this.#turns.clear();
    this.writesTo = null;
    this.rests = [];
    for (const name of [source, destination]) await putBackEnd(this.registry, name);
    await reportComputeNode(this.registry, 'hv1');
    const volumeId = await putVolume(this.registry, { status: 'in-use' });
    const id = randomUUID();
    const exportName = attachmentExportName(id);
    const served = { backEnd: source, device: `volume-${volumeId}` };
    const connection = { protocol: 'nbd', host: '127.0.0.1', port: 10809, exportName, tls: false, ...served };
    await putAttachment(this.registry, volumeId, { id, instance_id: 'vm-1', device: 'vdb', connection });
    return volumeId;
  }

  async migrate(volumeId: string, request: Partial<MigrationRequestInput> = {}): Promise<WorkflowHandle> {
    return this.client.workflow.start('migrateVolume', {
      taskQueue: controlQueue,
      workflowId: migrationWorkflowId(volumeId),
      args: [{ volumeId, destination, nodeTimeoutSeconds: 60, ...request }],
    });
  }

  state(handle: WorkflowHandle): Promise<MigrationState> {
    return handle.query<MigrationState>(messages.migrationState);
  }

  #hypervisor() {
    const mirrored = { ready: true, bytesDone: 1024, totalBytes: 1024 };
    return {
      examineDisk: async () => [],
      inspectDisk: this.#step('inspectDisk', { device: 'vdb', sizeBytes: 1024 ** 3 }),
      mirrorDisk: this.#step('mirrorDisk', mirrored),
      pauseMirror: this.#step('pauseMirror', undefined),
      holdMirror: this.#step<unknown, Rest | null>('holdMirror', () => this.rests.shift() ?? null),
      beginPivot: this.#step('beginPivot', playedQemu),
      pivotDisk: this.#step('pivotDisk', { device: 'vdb' }),
      attachDisk: this.#step('attachDisk', { device: 'vdb', domain: playedDomain }),
      detachDisk: this.#step('detachDisk', undefined),
      abortMirror: this.#step('abortMirror', undefined),
      probeDisk: async (input: unknown) => (
        this.steps.push('probeDisk'),
        (this.probed = input),
        {
          kind: this.verdict,
          position: this.position,
          ...(this.writesTo ? { writesTo: this.writesTo, reason: 'played' } : {}),
        }
      ),
    };
  }

  #storage() {
    const address = (input: { exportName: string }) => ({
      host: '127.0.0.1',
      port: 10810,
      tls: false,
      exportName: input.exportName,
    });
    const proof = (input: object) => ({ ...input, identity: 'a-device', provenAt: new Date().toISOString() });
    const transferred = ({ sizeBytes }: { sizeBytes: number }) => ({
      checkpoint: { offset: sizeBytes, chain: '', zeroed: true, transferred: 0 },
      finished: true,
    });
    return {
      prepareDestination: this.#step('prepareDestination', () => ({
        readsZero: true,
        zerosTakeRoom: this.zerosTakeRoom,
        identity: 'a-device',
        ...(this.compares && { compares: true }),
      })),
      compareVolume: this.#step('compareVolume', (input: { sizeBytes: number }) => {
        const { checkpoint, finished } = transferred(input);
        return { checkpoint: { ...checkpoint, medium: 'direct', unproven: this.unproven }, finished };
      }),
      unmapZeros: this.#step('unmapZeros', transferred),
      endUnmapping: this.#step('endUnmapping', undefined),
      exportDestination: this.#step('exportDestination', address),
      examineSource: async () => [],
      examineDestination: async () => [],
      checkUnused: async () => this.#turn('checkUnused'),
      holdSource: this.#step('holdSource', { lastWrite: null }),
      checkSource: this.#step('checkSource', undefined),
      releaseSource: this.#step('releaseSource', undefined),
      exportVolume: this.#step('exportVolume', address),
      locateVolume: this.#step('locateVolume', ({ deviceName }: { deviceName: string }) => ({
        kind: 'block',
        path: `/dev/played/${deviceName}`,
      })),
      exportSource: this.#step('exportSource', address),
      prepareLocalMove: this.#step('prepareLocalMove', {
        readsZero: true,
        shared: false,
        nameTaken: false,
        identity: 'a-device',
      }),
      copyVolume: this.#step('copyVolume', transferred),
      pullVolume: this.#step('pullVolume', transferred),
      digestVolume: this.#step('digestVolume', transferred),
      listEverything: this.#step<unknown, string[]>('listEverything', () => this.left),
      removeExport: this.#step('removeExport', undefined),
      deleteDestination: this.#step('deleteDestination', undefined),
      fenceSource: async () => this.#turn('fenceSource'),
      retireSource: this.#step('retireSource', undefined),
      keepSource: this.#step('keepSource', undefined),
      settleDestination: this.#step('settleDestination', proof),
      proveDestination: async (input: object) => proof(input),
      proveLive: async (input: object) => {
        await this.#turn('proveLive');
        return proof(input);
      },
      reviveDevice: this.#step('reviveDevice', proof),
      lookAtDevice: async ({ deviceName }: { deviceName: string }) => ({
        ...standingOf(liveTags(deviceName.replace('volume-', ''))),
        identity: 'a-device',
        sizeBytes: 1024 ** 3,
        labels: labelsOf([]),
      }),
      hasDevice: async () => true,
      inventory: async () => ({ backEnds: [], devices: [], mismatches: [], exports: [], unseen: [] }),
    };
  }

  #step<I, O>(name: string, answer: O | ((input: I) => O)) {
    return async (input: I): Promise<O> => {
      this.steps.push(name);
      await this.#turn(name);
      await this.#during.get(name)?.(input);
      return typeof answer === 'function' ? (answer as (input: I) => O)(input) : answer;
    };
  }

  async #turn(name: string): Promise<void> {
    const turn = this.#turns.get(name)?.shift();
    if (typeof turn === 'string') throw new FerryError(turn, `played: ${turn}`);
    await turn?.();
  }

  async #play(queue: string, activities: object): Promise<void> {
    const { worker, run } = await this.#worker(queue, activities);
    this.#ends.push(() => (worker.shutdown(), run));
  }

  async #worker(taskQueue: string, activities: object): Promise<{ worker: Worker; run: Promise<void> }> {
    const worker = await Worker.create({
      connection: this.#connection,
      taskQueue,
      activities,
      interceptors: { activity: [() => ({ inbound: activityFailures })] },
      maxHeartbeatThrottleInterval: '200ms',
      defaultHeartbeatThrottleInterval: '200ms',
    });
    return { worker, run: worker.run() };
  }
}

/** A turn that lasts until the step is cancelled, or until it is let go on. */
export function untilCancelled(): { turn: () => Promise<void>; begun: Promise<void>; goOn: () => void } {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const gone = new AbortController();
  return {
    begun,
    goOn: () => gone.abort(),
    turn: async () => {
      resolve();
      const { cancellationSignal } = Context.current();
      while (!gone.signal.aborted) {
        cancellationSignal.throwIfAborted();
        heartbeat();
        await sleep(50);
      }
    },
  };
}

import { randomUUID } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection, WithStartWorkflowOperation, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput, MigrationState } from '../../model/migration.ts';
import { controlQueue, deviceName, migrationWorkflowId } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { seedNodes, startSystem, type PlainSystem, type System, type SystemOptions } from '../../testbed/system.ts';
import { removeFolder } from '../../setup/remove-folder.mjs';
import { createChecker, type Checker } from './checker.ts';
import { directorySight, lvmSight, type Place, type Sight } from './sight.ts';

export const server1 = 'server1@lvmstorage-1';
export const server2 = 'server2@lvmstorage-2';

/** On real LVM, where every MiB takes time. Three quarters of such a volume are data when it is filled. MiB. */
export const lvmVolumeMib = 96;

/** A slow copy leaves time to do harm in the middle of it: the 72 or 96 MiB of data of a filled volume take many seconds. */
export const slowly = 12 * 1024 ** 2;
/** Slower still: some 20 s are left to do it, which a test process on a machine under load may need. Then the test takes the cap off. */
const creeping = 3 * 1024 ** 2;

/** The whole of Ferry on real parts, and ways to tell it what to do and to see what comes of it. */
export interface Stage extends PlainSystem {
  readonly sight: Sight;
  readonly checker: Checker;
  readonly client: Client;
  /** A volume with recognizable data, of `lvmVolumeMib`, or of 1 GiB in a directory; its id and the data's SHA-256. */
  volume(backEnd?: string): Promise<{ id: string; contents: string }>;
  /** Starts a migration; resolves when it is claimed, rejects when it is refused. */
  migrate(volumeId: string, options?: Partial<MigrationRequestInput>): Promise<WorkflowHandle>;
  /** Resolves when the copy has moved at least so many bytes (flushed or not); rejects when the migration ended before. */
  untilCopied(handle: WorkflowHandle, bytes?: number): Promise<void>;
  /** Resolves when the migration is in the phase, or past it. */
  untilPhase(handle: WorkflowHandle, phase: MigrationState['phase']): Promise<void>;
  /** Takes the cap off, so that a test need not wait for a slow copy any longer. */
  hurry(handle: WorkflowHandle): Promise<void>;
  /** The new device of a running migration, as a fault needs it. */
  destinationOf(handle: WorkflowHandle): Promise<Place>;
  /** The tests' own beginning: a slow migration of a filled volume in the middle of its copy, and its two allowed ends. */
  midCopy(request?: Partial<MigrationRequestInput>): Promise<MidCopy>;
  /** Resolves when no step of the migration is under way: it is paused for real. */
  untilIdle(handle: WorkflowHandle): Promise<void>;
  /** Migrates; how that ended, or the type of the refusal: for what may be found before or after the claim. */
  attempt(volumeId: string, options?: Partial<MigrationRequestInput>): Promise<string>;
  /** How it ended: `success`, or the type of the failure. */
  outcome(handle: WorkflowHandle): Promise<string>;
  /** Takes everything down and removes it. */
  strike(): Promise<void>;
}

/** The same with nodes that have a real LVM and may lose power. */
export type NodeStage = Stage & System;

/** A migration in the middle of its copy. */
export interface MidCopy {
  id: string;
  handle: WorkflowHandle;
  /** The volume's device on the source. */
  source: Place;
  /** Where the volume is if the migration came to nothing. */
  old: { host: string; contents: string };
  /** Where it is if the migration succeeded. */
  moved: { host: string; contents: string; outcome: string };
}

/** The seed's nodes, with room for a volume of every test of a file: the tests leave theirs for a look at what is on the disks. */
const roomyNodes = seedNodes.map((node) => ({
  ...node,
  volumeGroups: node.volumeGroups.map((group) => ({ ...group, sizeMib: 24 * 1024 })),
}));

/**
 * Sets the stage in a folder of its own. With `directory` nodes are plain processes and volumes sparse files: for what a test shows of
 * the control side, where a real LVM would only be slower.
 */
export async function setStage(options: StageOptions & { backing: 'directory' }): Promise<Stage>;
export async function setStage(options?: StageOptions & { backing?: 'lvm' }): Promise<NodeStage>;
export async function setStage(options: StageOptions & { backing?: 'lvm' | 'directory' } = {}): Promise<Stage> {
  // Sparse files cost nothing, whatever their size.
  const usualBytes = options.backing === 'directory' ? gib : lvmVolumeMib * 1024 ** 2;
  const { volumeBytes: sizeBytes = usualBytes, ...systemOptions } = options;
  const directory = await mkdtemp(join(tmpdir(), 'ferry-stage-'));
  // Kept on demand: the workers' logs tell what a failed test does not.
  const remove = async () => {
    if (process.env['FERRY_KEEP_STAGE']) return;
    // A migration that was ended in mid-copy has left its source read-only, for ever.
    removeFolder(directory);
  };
  const { system, sight } = await startBacked({ directory, nodes: roomyNodes, ...systemOptions }).catch(
    async (error: unknown) => {
      await remove();
      throw error;
    },
  );
  const connection = await Connection.connect({ address: system.temporal.address });
  const client = new Client({ connection });
  const checker = createChecker(sight, () => system.postgres.url);

  const volume: Stage['volume'] = async (backEnd = server1) => {
    const id = randomUUID();
    await client.workflow.execute('createVolume', {
      taskQueue: controlQueue,
      workflowId: `create/${id}`,
      args: [{ volumeId: id, tenantId: 'tenant-1', name: 'test', sizeBytes, backEnd }],
    });
    return { id, contents: await checker.fill(id) };
  };
  const migrate: Stage['migrate'] = async (volumeId, request = {}) => {
    const start = new WithStartWorkflowOperation('migrateVolume', {
      workflowId: migrationWorkflowId(volumeId),
      workflowIdConflictPolicy: 'FAIL',
      taskQueue: controlQueue,
      args: [{ volumeId, destination: server2, nodeTimeoutSeconds: options.nodeTimeoutSeconds, ...request }],
    });
    await client.workflow.executeUpdateWithStart(messages.awaitClaim, { startWorkflowOperation: start, args: [] });
    return start.workflowHandle();
  };
  const state = (handle: WorkflowHandle) => handle.query<MigrationState>(messages.migrationState);
  const untilCopied: Stage['untilCopied'] = async (handle, bytes = 1) => {
    await poll(async () => {
      const { raw, status } = await handle.describe();
      if (status.name !== 'RUNNING') throw new Error(`the migration is over already: ${await outcome(handle)}`);
      const beats = (raw.pendingActivities ?? []).flatMap((a) => a.heartbeatDetails?.payloads ?? []);
      return beats.some((p) => {
        const beat = defaultPayloadConverter.fromPayload<{ position?: number } | undefined>(p);
        return (beat?.position ?? 0) >= bytes;
      });
    });
  };
  const outcome: Stage['outcome'] = async (handle) => {
    try {
      await handle.result();
      return 'success';
    } catch (error) {
      return failureType(error);
    }
  };
  return {
    ...system,
    sight,
    checker,
    client,
    volume,
    migrate,
    untilCopied,
    async untilPhase(handle, phase) {
      const order = [
        'claiming',
        'preparing',
        'copying',
        'verifying',
        'switching',
        'cleaning-up',
        'undoing',
        'finished',
      ];
      await poll(async () => order.indexOf((await state(handle)).phase) >= order.indexOf(phase));
    },
    async midCopy(request = {}) {
      const { id, contents } = await volume();
      const handle = await migrate(id, { bandwidth: creeping, ...request });
      await untilCopied(handle, 4 * 1024 ** 2);
      return {
        id,
        handle,
        source: ['server1', 'lvmstorage-1', deviceName({ id, nameId: null })],
        old: { host: server1, contents },
        moved: { host: server2, contents, outcome: 'success' },
      };
    },
    async destinationOf(handle) {
      const { migrationId } = await state(handle);
      const tag = `ferry.migration=${migrationId}`;
      const found = (await sight.devices()).find(({ tags }) => tags.includes(tag));
      if (!found) throw new Error(`there is no device with the tag ${tag}`);
      return found.place;
    },
    async untilIdle(handle) {
      await poll(async () => ((await handle.describe()).raw.pendingActivities ?? []).length === 0);
    },
    async hurry(handle) {
      await handle.executeUpdate(messages.setBandwidth, { args: [null] });
    },
    outcome,
    async attempt(volumeId, request) {
      try {
        return await outcome(await migrate(volumeId, request));
      } catch (error) {
        return failureType(error);
      }
    },
    async strike() {
      await connection.close();
      await system.stop();
      await remove();
    },
  };
}

interface StageOptions extends Omit<SystemOptions, 'directory'> {
  /** How large `volume` makes volumes, if not as it says. */
  volumeBytes?: number;
}

async function startBacked(
  options: SystemOptions & { backing?: 'lvm' | 'directory' },
): Promise<{ system: PlainSystem; sight: Sight }> {
  if (options.backing === 'directory') {
    const system = await startSystem({ ...options, backing: 'directory' });
    return { system, sight: directorySight(join(options.directory, 'nodes')) };
  }
  const system = await startSystem({ ...options, backing: 'lvm' });
  return { system, sight: lvmSight(system.nodes, options.nodes ?? roomyNodes) };
}

/** The type of the failure behind an update's or a workflow's error; of several in one, theirs. */
function failureType(error: unknown): string {
  const { cause } = error as {
    cause?: { type?: string; name?: string; details?: [{ reasons?: { type: string }[] }?] };
  };
  const reasons = cause?.details?.[0]?.reasons?.map(({ type }) => type).join(', ');
  return `${cause?.type ?? cause?.name ?? String(error)}${reasons === undefined ? '' : `: ${reasons}`}`;
}

/** What the tests wait for takes seconds; a machine under load many. Milliseconds. */
const patienceMs = 300_000;

/** Asks until the answer is yes. */
export async function poll(ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`not so after ${patienceMs / 1000} s: ${ask.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

import assert from 'node:assert/strict';
import { mkdtemp, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { redirectTable } from '../../activities/compute/redirect-exports.ts';
import { type Ferry, openFerry } from '../../client/open-ferry.ts';
import { loadConfiguration } from '../../configuration/load.ts';
import { messages } from '../../model/messages.ts';
import type { MigrationRecord, MigrationRequestInput, MigrationState } from '../../model/migration.ts';
import { controlQueue, deviceName, migrationWorkflowId } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import type { Attachment, Volume } from '../../model/volume.ts';
import { listAttachments } from '../../registry/attachments.ts';
import { findMigration } from '../../registry/migrations.ts';
import { openRegistry, type Registry } from '../../registry/open-registry.ts';
import { findVolume } from '../../registry/volumes.ts';
import { removeFolder } from '../../setup/remove-folder.mjs';
import { computeNode } from '../../testbed/compute-node.ts';
import { fillImage } from '../../testbed/guest/records.ts';
import {
  certificateFolder,
  type ManagedWorker,
  seedNodes,
  startSystem,
  type PlainSystem,
} from '../../testbed/system.ts';
import { type Guest, Hypervisor } from '../activities/compute/hypervisor.ts';
import { AttachedChecker } from './attached-checker.ts';
import { exportServers } from './export-servers.ts';
import { poll, server1, server2 } from './stage.ts';

const mib = 1024 ** 2;

/** How much of a volume holds known data; the guest writes its records into the first of it, the rest are zeros. */
const filledBytes = 64 * mib;

/** A mirror at this cap is met in the middle. Bytes a second. */
const slowly = 2 * mib;

/** A volume that the guest has, and what must not change of it. */
export interface AttachedVolume {
  readonly id: string;
  readonly attachmentId: string;
  readonly device: string;
}

/** Ferry with nodes of plain directories, a real libvirt, a real guest that writes all the time, and a compute worker beside it. */
export class AttachedStage {
  readonly system: PlainSystem;
  readonly hypervisor: Hypervisor;
  readonly guest: Guest;
  /** Of the hypervisor `hv1`. */
  readonly compute: ManagedWorker;
  /** The same libvirt as the hypervisor of `server1` itself: volumes there are its own devices. */
  readonly computeOnServer1: ManagedWorker;
  readonly registry: Registry;
  readonly client: Client;
  /** What the CLI does, without a start of Node for each command. */
  readonly #library: Ferry;
  readonly #ends: (() => Promise<unknown>)[];
  readonly #checker: AttachedChecker;

  private constructor(
    parts: Pick<AttachedStage, 'system' | 'hypervisor' | 'guest' | 'compute' | 'computeOnServer1' | 'registry'>,
    { client, library }: { client: Client; library: Ferry },
    ends: (() => Promise<unknown>)[],
  ) {
    this.system = parts.system;
    this.hypervisor = parts.hypervisor;
    this.guest = parts.guest;
    this.compute = parts.compute;
    this.computeOnServer1 = parts.computeOnServer1;
    this.registry = parts.registry;
    this.client = client;
    this.#library = library;
    this.#ends = ends;
    const nodes = join(parts.system.directory, 'nodes');
    this.#checker = new AttachedChecker(nodes, () => parts.system.postgres.url, parts.hypervisor);
  }

  /** With `tls` every export asks for a certificate, and the hypervisor has one. With a `hostName` guests can be migrated from it. */
  static async set({ tls = false, hostName }: { tls?: boolean; hostName?: string } = {}): Promise<AttachedStage> {
    const directory = await mkdtemp(join(tmpdir(), 'ferry-attached-'));
    const ends: (() => Promise<unknown>)[] = [];
    ends.push(async () => {
      // A source that a test leaves kept is read-only, for root too.
      if (!process.env['FERRY_KEEP_STAGE']) removeFolder(directory);
    });
    const configuration = { nodeTimeoutSeconds: 60, noProgressSeconds: 20 };
    try {
      const nodes = seedNodes.map((node) => ({
        ...node,
        volumeGroups: node.volumeGroups.map((group) => ({ ...group, sizeMib: 64 * 1024 })),
      }));
      const system = await startSystem({ directory, nodes, backing: 'directory', tls, ...configuration });
      ends.push(() => system.stop());
      const hypervisor = await Hypervisor.start({
        ...(tls ? { tlsFolder: certificateFolder(join(directory, 'nodes')) } : {}),
        ...(hostName === undefined ? {} : { hostName }),
      });
      ends.push(() => hypervisor.stop());
      const guest = await hypervisor.guest('vm-1');
      const worker = async (name: string) => {
        const at = { name, directory: join(directory, 'compute'), libvirtUri: hypervisor.libvirt.uri };
        const made = await computeNode({ ...at, configuration, env: system.env });
        ends.push(async () => {
          await made.signal('SIGKILL');
          await execa('nft', ['delete', 'table', 'inet', redirectTable(at)], { reject: false });
        });
        await made.start();
        return made;
      };
      const [compute, computeOnServer1] = [await worker('hv1'), await worker('server1')];
      const registry = await openRegistry(system.postgres.url);
      ends.push(() => registry.close());
      const connection = await Connection.connect({ address: system.temporal.address });
      ends.push(() => connection.close());
      process.env['TEMPORAL_ADDRESS'] = system.temporal.address;
      const library = await openFerry({ configuration: await loadConfiguration(system.env) });
      ends.push(() => library.close());
      const parts = { system, hypervisor, guest, compute, computeOnServer1, registry };
      return new AttachedStage(parts, { client: new Client({ connection }), library }, ends);
    } catch (error) {
      for (const end of ends.toReversed()) await end();
      throw error;
    }
  }

  async strike(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
  }

  /** Runs `ferry ... --json`; its answer. */
  async ferry<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { exitCode, stdout, stderr } = await this.system.ferry(...args, '--json');
    assert.equal(exitCode, 0, `ferry ${args.join(' ')}: ${stderr}`);
    return (stdout ? JSON.parse(stdout) : null) as T;
  }

  /** Runs `ferry ... --json`, which must be refused; the error's type and message. */
  async refused(...args: string[]): Promise<{ type: string; message: string }> {
    const { exitCode, stdout, stderr } = await this.system.ferry(...args, '--json');
    assert.notEqual(exitCode, 0, `ferry ${args.join(' ')} was not refused: ${stdout}`);
    return (JSON.parse(stderr) as { error: { type: string; message: string } }).error;
  }

  async create(): Promise<string> {
    const { volume } = await this.#library.createVolume({ sizeBytes: gib, backEnd: server1 });
    await fillImage(await this.imageOf(volume.id), filledBytes);
    return volume.id;
  }

  /** A volume of known content that the guest has and writes to. */
  async attached(computeHost = 'hv1'): Promise<AttachedVolume> {
    const id = await this.create();
    const { id: attachmentId, device } = await this.#library.attachVolume({
      volumeId: id,
      instanceId: this.guest.name,
      computeHost,
    });
    assert.ok(device);
    await this.guest.console.progress(device, 5);
    return { id, attachmentId, device };
  }

  /** Takes it out of the guest and deletes it: the guest has room for a few disks only. */
  async drop({ id, device }: AttachedVolume): Promise<void> {
    await this.#library.detachVolume(id);
    await this.guest.console.gone(device);
    await this.#library.deleteVolume(id);
  }

  migrate(volumeId: string, request: Partial<MigrationRequestInput> = {}): Promise<WorkflowHandle> {
    return this.client.workflow.start('migrateVolume', {
      taskQueue: controlQueue,
      workflowId: migrationWorkflowId(volumeId),
      args: [{ volumeId, destination: server2, nodeTimeoutSeconds: 60, ...request }],
    });
  }

  /** A volume in the middle of a slow mirror. */
  async midMirror(computeHost?: string): Promise<{ volume: AttachedVolume; handle: WorkflowHandle }> {
    const volume = await this.attached(computeHost);
    const handle = await this.migrate(volume.id, { bandwidth: slowly });
    await this.untilMirrored(handle);
    return { volume, handle };
  }

  /** Resolves when the mirror has moved a byte, and is watched. */
  async untilMirrored(handle: WorkflowHandle): Promise<void> {
    await poll(async () => {
      const { raw, status } = await handle.describe();
      if (status.name !== 'RUNNING') throw new Error(`the migration is ${status.name} already`);
      const beats = (raw.pendingActivities ?? []).flatMap((a) => a.heartbeatDetails?.payloads ?? []);
      return beats.some(
        (p) => (defaultPayloadConverter.fromPayload<{ position?: number } | null>(p)?.position ?? 0) > 0,
      );
    });
  }

  state(handle: WorkflowHandle): Promise<MigrationState> {
    return handle.query<MigrationState>(messages.migrationState);
  }

  /** Takes the cap off, so that a test need not wait for a slow mirror any longer. */
  async hurry(handle: WorkflowHandle): Promise<void> {
    await handle.executeUpdate(messages.setBandwidth, { args: [null] });
  }

  /** How it ended: `success`, or the type of the failure. */
  async outcome(handle: WorkflowHandle): Promise<string> {
    try {
      await handle.result();
      return 'success';
    } catch (error) {
      const { cause } = error as { cause?: { type?: string; name?: string } };
      return cause?.type ?? cause?.name ?? String(error);
    }
  }

  async volume(id: string): Promise<Volume> {
    return findVolume(this.registry, id);
  }

  async attachment(id: string): Promise<Attachment> {
    const [found] = await listAttachments(this.registry, { volumeId: id });
    assert.ok(found, `volume ${id} has no attachment`);
    return found;
  }

  /** The volume's last migration, as the registry has it. */
  migration(id: string): Promise<MigrationRecord> {
    return findMigration(this.registry, id);
  }

  /** The file of a back end that was made last. */
  async newestDeviceOn(backEnd: string): Promise<string> {
    const folder = this.#file(backEnd, '');
    const files = (await readdir(folder)).map((name) => join(folder, name));
    const ages = await Promise.all(files.map(async (path) => ({ path, at: (await stat(path)).birthtimeMs })));
    return ages.toSorted((a, b) => b.at - a.at)[0]!.path;
  }

  /** The file that holds the volume, as the registry has it. */
  async imageOf(id: string): Promise<string> {
    const volume = await this.volume(id);
    return this.#file(volume.host, deviceName(volume));
  }

  /** The process that exports the device to the guest. */
  async serverOf(backEnd: string, device: RegExp): Promise<number> {
    const path = this.#file(backEnd, '');
    const found = (await exportServers(this.system.directory)).filter(({ argv }) =>
      argv.some((a) => a.startsWith(path) && device.test(a)),
    );
    assert.equal(found.length, 1, JSON.stringify(found));
    return found[0]!.pid;
  }

  /** See `AttachedChecker`. */
  assertAt(volume: AttachedVolume, host: string, outcome: string | null): Promise<void> {
    return this.#checker.assertAt({ ...volume, guest: this.guest, filledBytes }, { host, outcome: outcome ?? [null] });
  }

  #file(backEnd: string, device: string): string {
    return join(this.system.directory, 'nodes', ...backEnd.split('@'), 'volumes', device);
  }
}

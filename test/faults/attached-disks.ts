import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlQueue } from '../../model/names.ts';
import { listAttachments } from '../../registry/attachments.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { computeNode } from '../../testbed/compute-node.ts';
import { fillImage } from '../../testbed/guest/records.ts';
import type { ManagedWorker } from '../../testbed/process-worker.ts';
import { type Guest, Hypervisor } from '../activities/compute/hypervisor.ts';
import { AttachedChecker, type GuestDisk } from '../end-to-end/attached-checker.ts';
import type { FaultStage } from './stage.ts';

const mib = 1024 ** 2;

/** Twice what the guest writes its records to. */
const usuallyFilled = 16 * mib;

/** Records a second that a guest writes to each of its disks: many disks share a small machine. */
const rate = 10;

/** A disk of a running guest, and the back end that it is on. */
export type AttachedDisk = GuestDisk & { host: string };

/** Guests whose disks are moved to and fro, each by one case at a time, and the workers of their hypervisor. */
export class AttachedDisks {
  readonly checker: AttachedChecker;
  readonly #stage: FaultStage;
  readonly #hypervisor: Hypervisor;
  readonly #free: AttachedDisk[] = [];
  /** Those that are free or lent. */
  #added = 0;

  private constructor(stage: FaultStage, hypervisor: Hypervisor) {
    this.#stage = stage;
    this.#hypervisor = hypervisor;
    const nodes = join(stage.stage.directory, 'nodes');
    this.checker = new AttachedChecker(nodes, () => stage.stage.postgres.url, hypervisor);
  }

  static async start(stage: FaultStage): Promise<AttachedDisks> {
    const hypervisor = await Hypervisor.start();
    stage.atStrike(() => hypervisor.stop());
    return new AttachedDisks(stage, hypervisor);
  }

  /** A worker beside the one libvirt, as the hypervisor `name`; started. `folder`: of its configuration, when it is not the only one. */
  async worker(name: string, folder = 'compute'): Promise<ManagedWorker> {
    const { stage, workerEnv } = this.#stage;
    const worker = await computeNode({
      name,
      directory: join(stage.directory, folder),
      libvirtUri: this.#hypervisor.libvirt.uri,
      configuration: { nodeTimeoutSeconds: 600, noProgressSeconds: 60 },
      env: { ...workerEnv, ...stage.env },
    });
    this.#stage.atStrike(() => worker.signal('SIGKILL'));
    await worker.start();
    return worker;
  }

  guest(name: string): Promise<Guest> {
    return this.#hypervisor.guest(name, { rate });
  }

  /** A new volume of known content on the back end, and in the guest, which writes to it. */
  async attach(guest: Guest, host: string, computeHost: string, filledBytes = usuallyFilled): Promise<AttachedDisk> {
    const { directory, client, postgres } = this.#stage.stage;
    const id = await this.#stage.createVolume(host);
    await fillImage(join(directory, 'nodes', ...host.split('@'), 'volumes', `volume-${id}`), filledBytes);
    const attachmentId = randomUUID();
    await client.workflow.execute('attachVolume', {
      taskQueue: controlQueue,
      workflowId: `attach-${id}`,
      args: [{ volumeId: id, attachmentId, instanceId: guest.name, computeHost }],
    });
    const registry = await openRegistry(postgres.url);
    const [attachment] = await listAttachments(registry, { volumeId: id }).finally(() => registry.close());
    const device = attachment!.device!;
    await guest.console.progress(device, 1);
    return { id, attachmentId, device, guest, filledBytes, host };
  }

  /** Disks that cases take turns with. */
  async add(guest: Guest, host: string, computeHost: string, count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      this.#free.push(await this.attach(guest, host, computeHost));
      this.#added += 1;
    }
  }

  /** Lends a disk. What went wrong with it is not another case's: then it is not lent again, and a new one takes its place. */
  async lend(use: (disk: AttachedDisk) => Promise<void>): Promise<void> {
    let disk;
    while (!(disk = this.#free.pop())) {
      if (this.#added === 0) throw new Error('No disk is left: too many cases went wrong.');
      await sleep(200);
    }
    try {
      await use(disk);
      this.#free.push(disk);
    } catch (error) {
      this.#added -= 1;
      // Its place may be taken in vain: what went wrong first is what is told.
      await this.add(disk.guest, disk.host, 'hv1', 1).catch(() => {});
      throw error;
    }
  }

  /** Waits until the disk is being mirrored, and something of it has arrived. */
  async untilMirroring({ guest, device }: AttachedDisk): Promise<void> {
    for (;;) {
      const command = ['--domain', guest.name, '--cmd', '{"execute":"query-block-jobs"}'] as const;
      const told = await this.#hypervisor.virsh('qemu-monitor-command', ...command);
      const jobs = (JSON.parse(told) as { return: { device: string; offset: number }[] }).return;
      if (jobs.some((job) => job.device.startsWith(`copy-${device}-`) && job.offset > 0)) return;
      await sleep(100);
    }
  }

  /** What a guest has the disk through, as an operator reads it from its running domain. */
  async placeOf({ id, guest }: AttachedDisk): Promise<string> {
    const xml = await this.#hypervisor.virsh('dumpxml', '--domain', guest.name);
    const own = xml.split('<disk ').find((part) => part.includes(`<serial>${id}</serial>`));
    return /<source protocol='nbd' name='([^']+)'/.exec(own ?? '')?.[1] ?? 'nothing';
  }
}

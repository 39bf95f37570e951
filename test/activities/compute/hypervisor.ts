import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import {
  createComputeActivities,
  type ComputeActivities,
  type ComputeDependencies,
} from '../../../activities/compute/create-compute-activities.ts';
import { createCutConnection } from '../../../activities/compute/cut-connection.ts';
import { findQemuProcess } from '../../../activities/compute/qemu-process.ts';
import { createVirsh, type Virsh } from '../../../activities/compute/virsh.ts';
import { runCommand } from '../../../activities/storage/run-command.ts';
import { buildGuest, type GuestImage } from '../../../testbed/guest/build-guest.ts';
import type { GuestConsole } from '../../../testbed/guest/guest-console.ts';
import { startGuest } from '../../../testbed/guest/start-guest.ts';
import { fillImage, readRecords, type RecordsFound } from '../../../testbed/guest/records.ts';
import { type PrivateLibvirt, startLibvirt } from '../../../testbed/libvirt/start-libvirt.ts';
import { freePort } from '../storage/copier/source-server.ts';
import { ExportedImage } from './exported-image.ts';

const mib = 1024 ** 2;

/** What an activity runs in. Failures are the tests' business, not the log's. `lastBeat`: what a lost try told last. */
export function activityContext(lastBeat?: unknown): MockActivityEnvironment {
  return new MockActivityEnvironment(lastBeat === undefined ? {} : { heartbeatDetails: lastBeat }, {
    logger: new DefaultLogger('ERROR'),
  });
}

/** A volume of a test: its source and its destination, both exported. */
export interface TestVolume {
  readonly volumeId: string;
  readonly sizeBytes: number;
  readonly source: ExportedImage;
  readonly destination: ExportedImage;
}

/** A private libvirt with a guest, and the activities that a worker beside it would run. */
export class Hypervisor {
  readonly libvirt: PrivateLibvirt;
  readonly virsh: Virsh;
  readonly deps: ComputeDependencies;
  readonly activities: ComputeActivities;
  readonly #image: GuestImage;
  readonly #exports: ExportedImage[] = [];

  private constructor(libvirt: PrivateLibvirt, image: GuestImage) {
    this.libvirt = libvirt;
    this.#image = image;
    this.virsh = createVirsh({ uri: libvirt.uri, run: runCommand });
    this.deps = {
      virsh: this.virsh,
      findQemuProcess,
      cut: createCutConnection(runCommand),
      reportProgress: async () => {},
      noProgressMs: 60_000,
      cutAfterMs: 5_000,
      giveUpAfterMs: 60_000,
    };
    this.activities = createComputeActivities(this.deps);
  }

  static async start(
    options: { tlsFolder?: string; network?: readonly string[]; hostName?: string } = {},
  ): Promise<Hypervisor> {
    const libvirt = await startLibvirt(options);
    try {
      return new Hypervisor(libvirt, await buildGuest(join(libvirt.folder, 'guest')));
    } catch (error) {
      await libvirt.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.libvirt.stop();
    for (const image of this.#exports) await image.kill();
  }

  /** Defines a guest without disks and starts it. */
  async guest(name: string, settings: { rate?: number; span?: number } = {}): Promise<Guest> {
    return new Guest(this, name, await startGuest(this.libvirt, { name, image: this.#image, ...settings }));
  }

  /** A filled source and an empty destination; `destinationBytes` if that is to have another size. */
  async volume(spec: { sizeMib?: number; destinationBytes?: number; tlsFolder?: string } = {}): Promise<TestVolume> {
    const volumeId = randomUUID();
    const sizeBytes = (spec.sizeMib ?? 32) * mib;
    const create = (role: string, bytes: number, tlsFolder?: string) =>
      ExportedImage.create({
        path: join(this.libvirt.folder, `${role}-${volumeId}`),
        exportName: `volume-${role === 'source' ? volumeId : randomUUID()}`,
        sizeBytes: bytes,
        ...(tlsFolder ? { tlsFolder } : {}),
      });
    const source = await create('source', sizeBytes);
    this.#exports.push(source);
    await fillImage(source.path);
    const destination = await create('destination', spec.destinationBytes ?? sizeBytes, spec.tlsFolder);
    this.#exports.push(destination);
    return { volumeId, sizeBytes, source, destination };
  }

  /** Runs an activity as a worker would; `context` to cancel it, or to let it go on from a lost try's last beat. */
  run<I, O>(activity: (input: I) => Promise<O>, input: I, context = activityContext()): Promise<O> {
    return context.run(activity, input);
  }
}

/** What `virsh` of one hypervisor takes to migrate a guest to another one of this machine. */
export async function migrateWords(domain: string, to: Hypervisor): Promise<[string, ...string[]]> {
  const uris = ['--desturi', to.libvirt.uri, '--migrateuri', `tcp://127.0.0.1:${await freePort()}`];
  const how = ['--live', '--persistent', '--undefinesource', '--listen-address', '127.0.0.1'];
  return ['migrate', '--domain', domain, ...uris, ...how];
}

/** A running guest that writes records to every disk it gets. */
export class Guest {
  readonly name: string;
  readonly console: GuestConsole;
  readonly #hypervisor: Hypervisor;

  constructor(hypervisor: Hypervisor, name: string, console: GuestConsole) {
    this.#hypervisor = hypervisor;
    this.name = name;
    this.console = console;
  }

  /** What the activities on the move of this volume take. */
  move(volume: TestVolume) {
    return {
      instance: this.name,
      volumeId: volume.volumeId,
      source: volume.source.source,
      destination: volume.destination.source,
    };
  }

  /** Attaches the volume and waits for the guest's first records on it. */
  async attach(volume: TestVolume): Promise<string> {
    const { activities } = this.#hypervisor;
    const input = {
      instance: this.name,
      volumeId: volume.volumeId,
      source: volume.source.source,
      device: null,
      mode: 'rw' as const,
    };
    const { device } = await this.#hypervisor.run(activities.attachDisk, input);
    await this.console.progress(device, 5);
    return device;
  }

  async detach(volume: TestVolume): Promise<void> {
    await this.#hypervisor.run(this.#hypervisor.activities.detachDisk, {
      instance: this.name,
      volumeId: volume.volumeId,
    });
  }

  /** Holds the guest still, reads the image, and lets the guest go on. */
  async recordsOf(image: ExportedImage): Promise<RecordsFound> {
    await this.#hypervisor.virsh('suspend', '--domain', this.name);
    try {
      return await readRecords(image.path);
    } finally {
      await this.#hypervisor.virsh('resume', '--domain', this.name);
    }
  }

  /** Turns it on, with the disks of its definition, and waits until its system is up. Its console begins anew. */
  async start(): Promise<void> {
    await this.turnOn();
    await this.console.up();
  }

  async turnOn(): Promise<void> {
    await this.#hypervisor.virsh('start', '--domain', this.name);
  }

  /** Ends it at once, whatever it does. */
  async cutPower(): Promise<void> {
    await this.#hypervisor.virsh('destroy', '--domain', this.name);
  }

  /** As libvirt calls it for good. */
  async uuid(): Promise<string> {
    return (await this.#hypervisor.virsh('domuuid', '--domain', this.name)).trim();
  }

  async isOn(): Promise<boolean> {
    return (await this.#hypervisor.virsh('list', '--name')).split('\n').includes(this.name);
  }

  /** Ends it for good. */
  async remove(): Promise<void> {
    if (await this.isOn()) await this.cutPower();
    await this.#hypervisor.virsh('undefine', '--domain', this.name);
  }

  /** Presses the power button, and waits until the guest is off. */
  async powerOff(): Promise<void> {
    await this.#hypervisor.virsh('shutdown', '--domain', this.name);
    for (let tries = 0; tries < 300; tries += 1) {
      if (!(await this.isOn())) return;
      await sleep(100);
    }
    throw new Error(`${this.name} does not turn off`);
  }
}

import { execa } from 'execa';
import type { FerryErrorType } from '../../model/errors.ts';
import { nbdConnection } from '../../model/connection.ts';
import { snapshotDeviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import type { Attachment } from '../../model/volume.ts';
import { Violation } from './answers.ts';
import { blank, type Bytes, written, wrongBytes } from './bytes.ts';
import { LivingVolume, repairEveryNthLook, type World } from './living-volume.ts';
import { slotBytes, slotOffset, type TenantStep, type VolumeLife } from './scenario.ts';

/** A hypervisor of which nothing is known but its name: it reaches the volume by itself. */
const withoutWorker = 'elsewhere';

/** A volume that is attached only for as long as something is read or written, and what its owner may see of it in each moment. */
export class TenantLife extends LivingVolume {
  readonly #life: VolumeLife;
  #bytes: Bytes = blank;
  #sizes = new Set([1]);
  readonly #snapshots = new Map<string, { bytes: Bytes; sizes: Set<number> }>();

  constructor(world: World, life: VolumeLife) {
    super(world, life.home);
    this.#life = life;
  }

  live(): Promise<void> {
    return this.lived(async () => {
      for (const step of this.#life.steps) await this.#take(step);
    });
  }

  async #take(step: TenantStep): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#attached((url) => this.#write(url, step.slot, step.byte));
      case 'read':
        return this.#attached((url) => this.#read(url, step.slot));
      case 'extend': {
        const size = Math.max(...this.#sizes) + 1;
        const extended = await this.ask('extend', () => this.ferry.extendVolume(this.id, size * gib));
        if (extended.how === 'done') this.#sizes = new Set([size]);
        if (extended.how === 'unclear') this.#sizes.add(size);
        return this.afterwards(extended);
      }
      case 'snapshot': {
        const made = await this.ask('snapshot', () => this.ferry.createSnapshot({ volumeId: this.id }));
        if (made.how === 'done')
          this.#snapshots.set(made.value.id, { bytes: this.#bytes, sizes: new Set(this.#sizes) });
        return this.afterwards(made);
      }
      case 'delete snapshot': {
        const [id] = this.#snapshots.keys();
        if (id === undefined) return;
        const deleted = await this.ask('delete snapshot', () => this.ferry.deleteSnapshot(id));
        if (deleted.how !== 'refused') this.#snapshots.delete(id);
        return this.afterwards(deleted);
      }
      case 'migrate':
      case 'cancel':
      case 'pause':
      case 'resume':
      case 'wait for migration':
      case 'wait':
        return this.take(step);
    }
  }

  /** With the volume attached, if that is allowed now. */
  async #attached(use: (url: string) => Promise<void>): Promise<void> {
    const since = this.past.now();
    const attached = await this.ask('attach', () =>
      this.ferry.attachVolume({ volumeId: this.id, instanceId: `vm-${this.id}`, computeHost: withoutWorker }),
    );
    if (attached.how === 'done') {
      const running = (await this.migrations()).filter(
        ({ outcome, flow }) => outcome === null && flow !== 'generic-attached',
      );
      if (running.length > 0 && this.past.isQuietSince(since))
        throw new Violation(`it was attached while it was migrating: ${JSON.stringify(running)}`);
      await use(urlOf(attached.value));
      const detached = await this.ask('detach', () => this.ferry.detachVolume(this.id));
      // An evacuation may have begun to move it under its guest: until it finds no compute worker there.
      const mayRefuse: FerryErrorType[] = ['VolumeBusy', 'VolumeMigrating'];
      if (detached.how === 'refused' && !mayRefuse.includes(detached.type) && this.past.isQuietSince(since))
        throw new Violation(`its detach was refused with ${detached.type}`);
      if (detached.how !== 'done') await this.settle();
      return;
    }
    await this.afterwards(attached);
  }

  async #write(url: string, slot: number, byte: number): Promise<void> {
    const command = `write -P ${byte} ${slotOffset(slot)} ${slotBytes}`;
    const { exitCode } = await qemuIo(url, command, 'flush');
    this.tally.count('write', exitCode === 0 ? 'done' : 'cut off');
    this.#bytes = written(this.#bytes, slot, byte, exitCode === 0);
  }

  async #read(url: string, slot: number): Promise<void> {
    const [byte, another] = this.#bytes[slot]!;
    if (another !== undefined) return;
    const { exitCode, stdout } = await qemuIo(url, `read -P ${byte} ${slotOffset(slot)} ${slotBytes}`);
    if (/Pattern verification failed/.test(stdout)) throw new Violation(`its owner read another byte than ${byte}`);
    this.tally.count('read', exitCode === 0 ? 'done' : 'cut off');
  }

  protected override wrong(file: string): Promise<string[]> {
    return wrongBytes(file, this.#bytes, this.#sizes);
  }

  protected override async tidy(): Promise<void> {
    for (const [id, { bytes, sizes }] of this.#snapshots) {
      if (this.past.lostDevices.has(snapshotDeviceName(id))) continue;
      const wrong = await this.asked(() =>
        this.past.steadily(async () => wrongBytes(await this.#fileOfSnapshot(id), bytes, sizes)),
      );
      if (wrong.length > 0) throw new Violation(`snapshot ${id}: ${wrong.join('; ')}`);
      this.#snapshots.delete(id);
    }
    await this.until('its snapshots are deleted', async (look) => {
      const left = await this.ferry.listSnapshots({ volumeId: this.id });
      for (const { id } of left) await this.ask('delete snapshot', () => this.ferry.deleteSnapshot(id));
      if (look % repairEveryNthLook === repairEveryNthLook - 1)
        await this.ask('repair', () => this.ferry.repair({ volumeId: this.id }));
      return left.length === 0;
    });
  }

  /** Wherever it is: a volume moves away from a snapshot that the registry has forgotten. */
  async #fileOfSnapshot(id: string): Promise<string> {
    const name = snapshotDeviceName(id);
    const found = (await this.stage.sight.devices()).find(({ place: [, , device] }) => device === name);
    if (!found) throw new Error(`${name} is nowhere`);
    return this.file(found.place);
  }
}

function urlOf(attachment: Attachment): string {
  const { host, port, exportName } = nbdConnection.parse(attachment.connection);
  return `nbd://${host}:${port}/${exportName}`;
}

async function qemuIo(url: string, ...commands: string[]): Promise<{ exitCode: number | undefined; stdout: string }> {
  const argv = ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), url];
  const { exitCode, stdout } = await execa('qemu-io', argv, { reject: false, timeout: 20_000, stdin: 'ignore' });
  // It ends well when only its commands failed.
  return { exitCode: /error|failed/i.test(stdout) ? 1 : exitCode, stdout };
}

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readRecords, fillImage } from '../../testbed/guest/records.ts';
import { type Guest, type Hypervisor, migrateWords } from '../activities/compute/hypervisor.ts';
import { type Answer, Violation } from './answers.ts';
import { LivingVolume, type World } from './living-volume.ts';
import { computeHost, otherHost, type GuestsLife, type GuestStep } from './scenario.ts';

const mib = 1024 ** 2;
/** How much of the volume has known content, into the first half of which the guest writes its records; the rest are zeros. */
const filledBytes = 16 * mib;

/** How long its libvirtd, its memory, or its disk is away; and how long between two looks at who is at it. Milliseconds. */
const libvirtdAwayMs = 3_000;
const waitMs = 100;
const savedMs = 3_000;
const overlayMs = 5_000;

/** A volume that a running guest writes records to, through everything that befalls it. */
export class GuestLife extends LivingVolume {
  /** Lives share one libvirtd: who makes or removes a guest needs it, and it is not killed meanwhile. */
  static #needs = 0;
  static #isAway = false;
  readonly #life: GuestsLife;
  readonly #hypervisor: Hypervisor;
  readonly #other: Hypervisor | null;
  #guest: Guest | null = null;
  #device: string | null = null;
  /** All records up to this number were acknowledged to the guest. */
  #acked = 0;
  #unclearDetaches = 0;

  constructor(world: World & { hypervisor: Hypervisor; other: Hypervisor | null }, life: GuestsLife) {
    super(world, life.home);
    this.#life = life;
    this.#hypervisor = world.hypervisor;
    this.#other = world.other;
  }

  async live(): Promise<void> {
    try {
      await this.lived(() => this.#used());
    } finally {
      await this.#needingLibvirtd(async () => this.#guest?.remove());
    }
  }

  async #needingLibvirtd(work: () => Promise<void>): Promise<void> {
    while (GuestLife.#isAway) await sleep(waitMs);
    GuestLife.#needs += 1;
    try {
      await work();
    } finally {
      GuestLife.#needs -= 1;
    }
  }

  async #used(): Promise<void> {
    await fillImage(this.file(await this.place()), filledBytes);
    await this.#needingLibvirtd(async () => {
      this.#guest = await this.#hypervisor.guest(`vm-${this.id}`);
    });
    await this.#attach();
    for (const step of this.#life.steps) await this.#take(step);
    await this.migrated();
    await this.#attach();
    await this.#writesOn();
    await this.#note();
  }

  async #take(step: GuestStep): Promise<void> {
    switch (step.do) {
      case 'detach and attach': {
        await this.#note();
        const detach = () => this.ask('detach from a guest', () => this.ferry.detachVolume(this.id));
        if ((await detach()).how === 'refused') return;
        // Of one that failed it is not known what of it was done: again, as an operator would.
        await this.until('it is detached from its guest', async () => {
          if ((await this.ferry.findVolume(this.id)).attachments.length === 0) return true;
          await detach();
          return false;
        });
        return this.#attach();
      }
      case 'cut the power': {
        await this.#note();
        await this.until('its power is cut', async () => {
          // A cut that libvirtd died of, or was slow to tell of, has happened all the same.
          await this.#hypervisor.virsh('destroy', '--domain', this.#guest!.name).catch(() => '');
          return !(await this.#guest!.isOn());
        });
        this.tally.count('guest', 'lost its power');
        return this.#starts();
      }
      case 'reset':
        await this.#note();
        await this.#virsh('it is reset', 'reset');
        this.tally.count('guest', 'was reset');
        return this.#starts();
      case 'suspend':
        await this.#virsh('it is suspended', 'suspend');
        await sleep(step.ms);
        await this.#virsh('it is resumed', 'resume');
        this.tally.count('guest', 'was suspended');
        return;
      case 'save its memory':
        return this.#saved();
      case 'write to an overlay':
        return this.#overlaid();
      case 'visit another hypervisor':
        return this.#needingLibvirtd(() => this.#visits(this.#other!));
      case 'kill libvirtd':
        while (GuestLife.#needs > 0 || GuestLife.#isAway) await sleep(waitMs);
        GuestLife.#isAway = true;
        await this.#hypervisor.libvirt.crash();
        await sleep(libvirtdAwayMs);
        await this.#hypervisor.libvirt.restart();
        GuestLife.#isAway = false;
        this.tally.count('guest', 'had its libvirtd killed');
        return;
      case 'migrate':
      case 'cancel':
      case 'pause':
      case 'resume':
      case 'wait for migration':
      case 'wait':
        return this.take(step);
    }
  }

  /** Until libvirtd, which another life may have killed, has done it. */
  async #virsh(what: string, command: string, ...args: string[]): Promise<string> {
    let said = '';
    await this.until(what, async () => {
      said = await this.#hypervisor.virsh(command, '--domain', this.#guest!.name, ...args);
      return true;
    });
    return said;
  }

  async #starts(): Promise<void> {
    await this.until('its guest starts again', async () => {
      // It does not while its disk is away.
      if (!(await this.#guest!.isOn())) await this.#guest!.turnOn();
      return (await this.#guest!.console.report()).up;
    });
  }

  /** Its memory goes to a file, and comes back from it a little later. libvirt does not do that while the disk is mirrored. */
  async #saved(): Promise<void> {
    await this.#note();
    const done = await this.#hypervisor.virsh('managedsave', '--domain', this.#guest!.name).then(
      () => 'had its memory saved',
      () => 'could not have its memory saved',
    );
    this.tally.count('guest', done);
    await sleep(savedMs);
    // It goes on where it was: its console says nothing of a start.
    await this.until('its guest is on again', async () => {
      if (!(await this.#guest!.isOn())) await this.#guest!.turnOn();
      return this.#guest!.isOn();
    });
  }

  /** As backup tools do: it writes to an overlay for a while, which is then committed. libvirt does not do that while the disk is mirrored. */
  async #overlaid(): Promise<void> {
    const [device, file] = [this.#device!, join(this.#hypervisor.libvirt.folder, `overlay-${this.id}`)];
    const isOverlaid = async () =>
      (await this.#virsh('its definition is read', 'dumpxml')).includes(`<source file='${file}'`);
    const how = ['--disk-only', '--no-metadata', '--diskspec', `${device},file=${file}`];
    await this.#hypervisor.virsh('snapshot-create-as', '--domain', this.#guest!.name, ...how).catch(() => '');
    const was = await isOverlaid();
    this.tally.count('guest', was ? 'wrote to an overlay' : 'could not write to an overlay');
    if (was) await sleep(overlayMs);
    await this.until('its overlay is committed', async () => {
      if (!(await isOverlaid())) return true;
      await this.#hypervisor.virsh(
        ...(['blockcommit', '--domain', this.#guest!.name, '--path', device] as const),
        ...['--active', '--wait', '--pivot'],
      );
      return !(await isOverlaid());
    });
    await rm(file, { force: true });
  }

  /** libvirt migrates it to another hypervisor, and back. It does not while the disk is mirrored. */
  async #visits(other: Hypervisor): Promise<void> {
    await this.#note();
    const name = this.#guest!.name;
    const isOn = async (there: Hypervisor) => (await there.virsh('list', '--name')).split('\n').includes(name);
    const move = async (from: Hypervisor, to: Hypervisor) => {
      await from.virsh(...(await migrateWords(name, to))).catch(() => '');
      return isOn(to);
    };
    const isWith = (host: string) =>
      this.until(`its volume is with it on ${host}`, async () => {
        const [attachment] = (await this.ferry.findVolume(this.id)).attachments;
        return attachment === undefined || attachment.computeHost === host;
      });
    if (!(await move(this.#hypervisor, other))) return this.tally.count('guest', 'could not be migrated');
    await isWith(otherHost);
    await this.until('it is back', async () => (await isOn(this.#hypervisor)) || move(other, this.#hypervisor));
    await isWith(computeHost);
    this.tally.count('guest', 'was migrated, and back');
  }

  /** Has the volume attached to the guest, which writes to it. */
  async #attach(): Promise<void> {
    await this.until('the guest has it', async () => {
      const [attachment] = (await this.ferry.findVolume(this.id)).attachments;
      if (attachment?.status === 'attached') {
        this.#device = attachment.device;
        return true;
      }
      // A detach that failed has left it attached, or attaching is for later.
      const at = { volumeId: this.id, instanceId: this.#guest!.name, computeHost };
      await this.ask('attach to a guest', () => this.ferry.attachVolume(at));
      return false;
    });
  }

  /** Resolves when the guest has written more records. */
  async #writesOn(): Promise<void> {
    const from = (await this.#report()).acked;
    await this.until('its guest writes on', async () => (await this.#report()).acked > from);
    this.tally.count('guest', 'writes on');
  }

  /** Remembers what the guest was told, and that it was told of no error. */
  async #note(): Promise<void> {
    const { acked, errors, complaints } = await this.#report();
    this.#acked = Math.max(this.#acked, acked);
    if (errors > 0 || complaints.length > 0)
      throw new Violation(`its guest saw ${errors} errors; ${complaints.join('; ')}`);
  }

  #report() {
    return this.#guest!.console.disk(this.#device!);
  }

  /** A guest that is asked for a disk just when it boots may never let go of it: its operator cuts its power then. */
  protected override async detach(): Promise<Answer<unknown>> {
    const answer = await super.detach();
    if (answer.how === 'unclear' && (this.#unclearDetaches += 1) % 3 === 0) {
      await this.#guest!.cutPower();
      this.tally.count('guest', 'lost its power for it did not let go');
    }
    return answer;
  }

  protected override async wrong(file: string): Promise<string[]> {
    const { torn, missing, highest, fillers, records } = await readRecords(file);
    const wrong = torn > 0 ? [`${torn} torn blocks`] : [];
    if (missing.length > 0) wrong.push(`records ${missing.slice(0, 10).join()} of ${missing.length} are missing`);
    if (highest < this.#acked) wrong.push(`record ${this.#acked} was acknowledged, ${highest} is the last one there`);
    const lost = filledBytes / 4096 - fillers - records;
    if (lost !== 0) wrong.push(`${lost} blocks of its content are lost`);
    this.tally.count('guest', 'all records there');
    return wrong;
  }

  protected override async tidy(): Promise<void> {
    // Nothing but the volume is its.
  }
}

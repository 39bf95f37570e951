import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { DetachInput } from '../../../activities/compute/detach-disk.ts';
import { findHolders } from '../../../activities/compute/find-holders.ts';
import { attachFile } from '../../../activities/compute/late-attach.ts';
import { tendGuests } from '../../../activities/compute/tend-guests.ts';
import { saveSource } from '../../../activities/compute/saved-definition.ts';
import type { GuestDisk } from '../../../registry/guest-disks.ts';
import { activityContext, type Guest, Hypervisor, type TestVolume } from './hypervisor.ts';
import { assertFailure, eventually, MovingDisk } from './moving-disk.ts';

/** A domain that is never started. */
const definitionOf = (name: string, disk: string) =>
  `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>${disk}</devices></domain>`;

describe('a volume of a guest that others have to do with, too', { timeout: 1_800_000 }, () => {
  let hypervisor: Hypervisor;
  let guest: Guest;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-other-hands-'));
    hypervisor = await Hypervisor.start();
    guest = await hypervisor.guest('ours');
  });
  after(async () => {
    await hypervisor?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const virsh = (command: string, ...operands: string[]) => hypervisor.virsh(command, ...operands);
  const attachInput = (instance: string, { volumeId, source }: TestVolume) => ({
    instance,
    volumeId,
    source: source.source,
    device: null,
    mode: 'rw' as const,
  });
  const detach = (instance: string, { volumeId, source }: TestVolume, more: Partial<DetachInput> = {}) =>
    hypervisor.run(hypervisor.activities.detachDisk, { instance, volumeId, source: source.source, ...more });
  const refused = async (doing: Promise<unknown>, because: string, words = /./) => {
    const error: unknown = await doing.then(
      () => null,
      (error: unknown) => error,
    );
    assertFailure(error, 'InstanceNotReady');
    const { message, details } = error as { message: string; details: { because?: string } };
    assert.equal(details.because, because, message);
    assert.match(message, words);
  };
  const definition = (name: string) => virsh('dumpxml', '--domain', name, '--inactive');
  const defineAnother = async (name: string, disk: string) => {
    const file = join(folder, `${name}.xml`);
    await writeFile(file, definitionOf(name, disk));
    await virsh('define', '--file', file);
  };
  const exported = ({ source }: TestVolume) => {
    assert.ok(source.source.kind === 'nbd');
    const { host, port, exportName } = source.source.address;
    return `<source protocol='nbd' name='${exportName}'><host name='${host}' port='${port}'/></source>`;
  };
  const diskOn = (volume: TestVolume) =>
    `<disk type='network' device='disk'><driver name='qemu' type='raw'/>${exported(volume)}<target dev='vda' bus='virtio'/></disk>`;

  it('goes into no domain that has the number, a part or another case of its name', async () => {
    const id = (await virsh('domid', '--domain', guest.name)).trim();
    const volume = await hypervisor.volume();
    const attachTo = (instance: string) =>
      hypervisor.run(hypervisor.activities.attachDisk, attachInput(instance, volume));
    for (const instance of [id, 'our', 'OURS']) await assert.rejects(attachTo(instance), { type: 'InstanceNotFound' });
    for (const option of ['--all', '-h']) await assert.rejects(attachTo(option), { type: 'InvalidInput' });
    assert.doesNotMatch(await definition(guest.name), new RegExp(volume.volumeId));
  });

  it('is found in a guest that was renamed, and by no other name', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const domain = await guest.uuid();
    await guest.powerOff();
    await virsh('domrename', '--domain', guest.name, '--new-name', 'theirs');
    await refused(detach(guest.name, disk.volume), 'other-instance', /theirs/);
    assert.match(await definition('theirs'), new RegExp(disk.volume.volumeId));
    await refused(detach(guest.name, disk.volume, { domain }), 'renamed', /theirs/);
    assert.match(await definition('theirs'), new RegExp(disk.volume.volumeId));
    await detach(guest.name, disk.volume, { domain, evenIfRenamed: true });
    assert.doesNotMatch(await definition('theirs'), new RegExp(disk.volume.volumeId));
    await virsh('domrename', '--domain', 'theirs', '--new-name', guest.name);
    await guest.start();
  });

  it('is not attached, moved or let go while another domain has it, be it by its source alone', async () => {
    const volume = await hypervisor.volume();
    await defineAnother('twin', diskOn(volume));
    await refused(
      hypervisor.run(hypervisor.activities.attachDisk, attachInput(guest.name, volume)),
      'other-instance',
      /twin/,
    );
    await virsh('undefine', '--domain', 'twin');
    const device = await guest.attach(volume);
    await defineAnother('twin', diskOn(volume));
    const inspected = { instance: guest.name, ...volume, source: volume.source.source };
    await refused(hypervisor.run(hypervisor.activities.inspectDisk, inspected), 'other-instance', /twin/);
    const told = await hypervisor.run(hypervisor.activities.examineHolders, {
      ...volume,
      source: volume.source.source,
    });
    assert.deepEqual(
      new Set(told.map(({ type, details }) => `${type} ${String(details?.['instance'])}`)),
      new Set([guest.name, 'twin'].map((name) => `VolumeInUse ${name}`)),
    );
    await refused(detach(guest.name, volume), 'other-instance', /twin/);
    await guest.console.progress(device, 3);
    await virsh('undefine', '--domain', 'twin');
    await detach(guest.name, volume);
  });

  it('is not let go of a guest whose memory is saved with it, nor attached to one', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const other = await hypervisor.volume();
    await virsh('managedsave', '--domain', guest.name);
    await refused(detach(guest.name, disk.volume), 'memory-saved', /managedsave-remove/);
    const { volume } = disk;
    const inspected = { instance: guest.name, ...volume, source: volume.source.source };
    await refused(hypervisor.run(hypervisor.activities.inspectDisk, inspected), 'memory-saved');
    await refused(hypervisor.run(hypervisor.activities.attachDisk, attachInput(guest.name, other)), 'memory-saved');
    // An operator has taken it out of the definition: the memory has it still.
    await virsh('detach-disk', '--domain', guest.name, '--target', disk.device, '--config');
    const holders = await findHolders(hypervisor.virsh, { ...volume, source: volume.source.source });
    assert.deepEqual(
      holders.map(({ as }) => as),
      ['memory saved'],
    );
    await refused(detach(guest.name, volume), 'memory-saved');
    await guest.turnOn();
    await guest.console.progress(disk.device, 5);
    await disk.detach();
  });

  it('is not let go while an overlay lies over it, on or off, and is once that is brought down', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const spec = `${disk.device},file=${join(hypervisor.libvirt.folder, 'overlay')}`;
    await virsh(
      ...(['snapshot-create-as', '--domain', guest.name, '--name', 'nightly'] as const),
      ...['--disk-only', '--no-metadata', '--diskspec', spec],
    );
    await refused(detach(guest.name, disk.volume), 'overlay', /blockcommit/);
    // It came after the look before the migration: the mirror does not begin, and the way back finds the guest over the source.
    await refused(disk.mirror(), 'foreign-job', /blockcommit/);
    await disk.abort();
    const holders = await findHolders(hypervisor.virsh, { volumeId: 'of another', source: disk.volume.source.source });
    assert.deepEqual(
      holders.map(({ as }) => as),
      ['running', 'defined'],
      'by what lies below',
    );
    await virsh('blockcommit', '--domain', guest.name, '--path', disk.device, '--active', '--wait', '--pivot');
    await disk.assertWholeOn(disk.volume.source);
    await disk.detach();
  });

  it('stays, in the definition too, with a guest that is paused; and the guest does not lose it later', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    await virsh('suspend', '--domain', guest.name);
    await assert.rejects(detach(guest.name, disk.volume), { type: 'DeviceInUse', message: /virsh resume/ });
    assert.match(await definition(guest.name), new RegExp(disk.volume.volumeId));
    await virsh('resume', '--domain', guest.name);
    await guest.console.progress(disk.device, 40);
    await disk.detach();
  });

  it("is not moved or let go while somebody else's job is at it, which Ferry does not end", async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const copy = join(folder, 'backup.img');
    await writeFile(copy, '');
    const { volume, device } = disk;
    await virsh(
      ...(['blockcopy', '--domain', guest.name, '--path', device, '--dest', copy, '--format', 'raw'] as const),
      ...['--transient-job', '--bandwidth', '1'],
    );
    const inspected = { instance: guest.name, ...volume, source: volume.source.source };
    await refused(hypervisor.run(hypervisor.activities.inspectDisk, inspected), 'foreign-job', /backup\.img/);
    await refused(detach(guest.name, volume), 'foreign-job', /backup\.img/);
    await assert.rejects(disk.mirror(), { type: 'InstanceNotReady', message: /Somebody else/ });
    await assert.rejects(disk.pivot(), { type: 'InstanceNotReady' });
    await disk.abort();
    assert.equal(await disk.stands(), 'foreign-job');
    assert.match(await virsh('blockjob', '--domain', guest.name, '--path', device, '--raw'), /Block Copy/);
    await virsh('blockjob', '--domain', guest.name, '--path', device, '--abort');
    await disk.detach();
  });

  it('is put right by the next try when somebody pauses or slows its mirror, and that is told', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const blockJob = (execute: string, more: object = {}) =>
      virsh(
        ...(['qemu-monitor-command', '--domain', guest.name, '--cmd'] as const),
        JSON.stringify({ execute, arguments: { device: 'copy-vda-libvirt-1-format', ...more } }),
      );
    const { ended } = await disk.mirrorUnderWay();
    const [job] = (
      JSON.parse(
        await virsh('qemu-monitor-command', '--domain', guest.name, '--cmd', '{"execute":"query-block-jobs"}'),
      ) as { return: { device: string }[] }
    ).return;
    await blockJob('block-job-pause', { device: job!.device });
    assertFailure(await ended, 'NoProgress');
    const context = activityContext();
    const again = disk.mirror(2 ** 21, context).then(
      () => null,
      (error: unknown) => error,
    );
    const goesOn = async (speed: number) => {
      const stands = await hypervisor.run(hypervisor.activities.probeDisk, disk.move);
      return stands.kind === 'copying' && stands.position.speed === speed && !stands.position.paused;
    };
    await eventually(() => goesOn(2 ** 21));
    await blockJob('block-job-set-speed', { device: job!.device, speed: 4096 });
    assertFailure(await again, 'NoProgress');
    assert.equal((await disk.mirror(null)).ready, true);
    await disk.abort();
    await disk.detach();
  });

  it('is not taken for untouched when another QEMU runs the guest than the one that was asked to turn it', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    await disk.mirror();
    const { beginPivot, pivotDisk, abortMirror, probeDisk } = hypervisor.activities;
    const asked = await hypervisor.run(beginPivot, disk.move);
    assert.deepEqual(await hypervisor.run(beginPivot, disk.move), asked);
    const move = { ...disk.move, asked };
    assert.equal((await hypervisor.run(probeDisk, move)).kind, 'ready');
    await disk.abort();
    await assert.rejects(hypervisor.run(pivotDisk, move), { type: 'MirrorFailed' }, 'the same QEMU knows');
    await guest.cutPower();
    for (const turn of [async () => {}, () => guest.start()]) {
      await turn();
      const stands = await hypervisor.run(probeDisk, move);
      assert.equal(stands.kind, 'park');
      await assert.rejects(hypervisor.run(pivotDisk, move), { type: 'ParkedForOperator' });
      await assert.rejects(hypervisor.run(abortMirror, move), { type: 'ParkedForOperator' });
    }
    // An operator has looked: what was written is on the destination.
    await assert.rejects(hypervisor.run(pivotDisk, { ...move, isDecided: true }), { type: 'ParkedForOperator' });
    await guest.cutPower();
    await hypervisor.run(pivotDisk, { ...move, isDecided: true });
    assert.equal((await hypervisor.run(probeDisk, move)).kind, 'off-on-destination');
    await guest.start();
    assert.equal((await hypervisor.run(probeDisk, move)).kind, 'done');
    const byName = { ...move, destination: { kind: 'named' as const, name: disk.volume.destination.exportName } };
    assert.equal((await hypervisor.run(probeDisk, byName)).kind, 'done', 'known by its name alone');
    await guest.detach(disk.volume);
  });

  it('does not come into a guest by a call that an earlier worker left behind', async () => {
    const volume = await hypervisor.volume();
    const file = join(folder, attachFile(volume.volumeId));
    await writeFile(file, diskOn(volume));
    // As a worker's virsh that was stopped before it reached libvirt.
    const late = spawn('virsh', [
      ...['-c', hypervisor.libvirt.uri, 'attach-device', '--domain', guest.name, '--file', file, '--live'],
    ]);
    late.kill('SIGSTOP');
    const ended = once(late, 'exit');
    await hypervisor.run(hypervisor.activities.detachDisk, { instance: guest.name, ...volume, source: null });
    late.kill('SIGCONT');
    assert.deepEqual(await ended, [null, 'SIGKILL']);
    assert.deepEqual(await findHolders(hypervisor.virsh, { ...volume, source: volume.source.source }), []);
  });

  it('is tended: the definition, the disk that the guest let go of, a mirror that nobody owns', async () => {
    const disk = await MovingDisk.attach(hypervisor, guest);
    const { volumeId, source, destination } = disk.volume;
    assert.ok(source.source.kind === 'nbd');
    const attached: GuestDisk = {
      attachmentId: '3e0a3c34-0000-4000-8000-000000000001',
      volumeId,
      instanceId: guest.name,
      mode: 'rw',
      left: [destination.exportName],
      busy: false,
      connection: { protocol: 'nbd', ...source.source.address, backEnd: 'server1@one', device: source.exportName },
    };
    const noted: string[] = [];
    const tend = async (isStill = true) =>
      (
        await tendGuests(
          {
            virsh: hypervisor.virsh,
            isStill: async () => isStill,
            noteDomain: async (_disk, domain) => void noted.push(domain),
          },
          [attached],
        )
      ).tended.map(({ what, done }) => `${done}: ${what}`);
    assert.deepEqual(await tend(), []);
    const domain = await guest.uuid();
    assert.deepEqual(noted, [domain]);

    await saveSource(hypervisor.virsh, { ...disk.move, domain }, disk.device, destination.source);
    assert.deepEqual(await tend(false), [], 'a migration has begun meanwhile');
    assert.match((await tend()).join(), /^true: its definition said the export/);
    assert.equal(await disk.stands(), 'not-started');
    assert.match(await definition(guest.name), new RegExp(source.exportName));

    await virsh('detach-disk', '--domain', guest.name, '--target', disk.device, '--live');
    await guest.console.gone(disk.device);
    assert.match((await tend()).join(), /^true: the guest had let go/);
    await guest.console.progress(disk.device, 3);

    const { ended } = await disk.mirrorUnderWay();
    assert.match((await tend()).join(), /^true: a mirror to the export/);
    assertFailure(await ended, 'MirrorFailed');
    assert.equal(await disk.stands(), 'not-started');
    assert.deepEqual(await tend(), []);
    await disk.detach();
  });
});

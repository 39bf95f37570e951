import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { computeInputs } from '../../activities/inputs/compute.ts';
import { registryInputs } from '../../activities/inputs/registry.ts';
import { storageInputs } from '../../activities/inputs/storage.ts';
import { computeWarrants } from '../../activities/warrants/compute-warrants.ts';
import { requireWarrants, stillWanted } from '../../activities/warrants/require-warrants.ts';
import { registryWarrants, type WritesConnection } from '../../activities/warrants/registry-warrants.ts';
import { storageWarrants } from '../../activities/warrants/storage-warrants.ts';
import type { ComputeActivities } from '../../activities/compute/create-compute-activities.ts';
import type { StorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { fillingTags, generationTag, liveTags, migrationTag } from '../../model/device.ts';
import { nodeOf } from '../../model/ids.ts';
import { copyStart } from '../../model/migration.ts';
import { gib } from '../../model/sizes.ts';
import { deviceName } from '../../model/names.ts';
import { copyExportName, type Origin } from '../../model/origin.ts';
import { exportOffer } from '../../model/warrants.ts';
import { beginAttach, failAttach, finishAttach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, finishCreate } from '../../registry/creation.ts';
import { exportPeers } from '../../registry/export-peers.ts';
import { findOrigin } from '../../registry/origins.ts';
import { recordOffer } from '../../registry/warrants.ts';
import { reportComputeNode } from '../../registry/compute-nodes.ts';
import { enterPhase, releaseVolume } from '../../registry/migration-steps.ts';
import { beginOperation, finishOperation } from '../../registry/operations.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putAttachment,
  putBackEnd,
  putVolume,
  source as sourceBackEnd,
} from './world.ts';

const hypervisor = 'hv1';
interface Named {
  exportName?: string;
  deviceName?: string;
}

const address = { host: '10.0.0.1', port: 10_809, tls: true };

test('whom an export is for is known by its name', async () => {
  const registry = await testRegistry();
  for (const backEnd of [sourceBackEnd, destination]) await putBackEnd(registry, backEnd);
  const peers = (exportName: string) => exportPeers(registry, exportName);
  const volumeId = await putVolume(registry, { status: 'in-use' });
  assert.deepEqual(await peers(`volume-${volumeId}`), []);
  assert.deepEqual(await peers(copyExportName(volumeId)), [nodeOf(sourceBackEnd)]);

  const connection = { exportName: `volume-${volumeId}` };
  const attachmentId = await putAttachment(registry, volumeId, { compute_host: 'hv7', connection });
  assert.deepEqual(await peers(`attachment-${attachmentId}`), ['hv7']);
  assert.deepEqual(await peers(`volume-${volumeId}`), ['hv7']);
  assert.deepEqual(await peers(`attachment-${randomUUID()}`), []);

  const moved = await putVolume(registry);
  const args = claimArguments(moved);
  const { claim } = await claimVolume(registry, args);
  assert.deepEqual(await peers(`migration-${claim.migrationId}`), [nodeOf(destination)]);
  const name = deviceName({ id: moved, nameId: args.destinationNameId });
  await putAttachment(registry, moved, { compute_host: 'hv8' });
  assert.deepEqual(await peers(name), ['hv8'], 'whose guest is being mirrored to it');
});

describe('the registry is asked before a step is done', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let done: string[];
  let storage: StorageActivities;
  let compute: ComputeActivities;
  /** Of the hypervisor that is the source's own machine. */
  let beside: ComputeActivities;
  let control: WritesConnection;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, sourceBackEnd);
    await putBackEnd(registry, destination);
    await reportComputeNode(registry, hypervisor);
    const played = (names: object, answer: (name: string, input: Named) => unknown) =>
      Object.fromEntries(
        Object.keys(names).map((name) => [
          name,
          async (input: Named) => {
            done.push(name);
            return answer(name, input);
          },
        ]),
      ) as never;
    done = [];
    storage = requireWarrants<StorageActivities>(
      storageInputs,
      storageWarrants(registry),
      played(storageInputs, (name, { exportName, deviceName }) =>
        name === 'locateVolume' ? { kind: 'block', path: `/dev/group/${deviceName}` } : { ...address, exportName },
      ),
    );
    const computeOn = (node: string) =>
      requireWarrants<ComputeActivities>(
        computeInputs,
        computeWarrants(registry, node),
        played(computeInputs, () => null),
      );
    compute = computeOn(hypervisor);
    beside = computeOn(nodeOf(sourceBackEnd));
    control = requireWarrants<WritesConnection>(
      registryInputs,
      registryWarrants(registry),
      played({ finishAttach: null, switchVolume: null }, () => null),
    );
  });

  /** What the node of the origin has written down when it opened it. */
  const offers = ({ volumeId, backEnd, deviceName: name }: Origin, to: typeof address & { exportName: string }) =>
    recordOffer(registry, { volumeId, backEnd, deviceName: name }, exportOffer(to));

  async function refused(step: Promise<unknown>): Promise<void> {
    done.length = 0;
    await assert.rejects(step, ferryError('Forbidden'));
    assert.deepEqual(done, []);
  }

  /** A volume of which an attach is under way, its export made as its workflow has it made. */
  async function attaching({ mode = 'rw', on = hypervisor }: { mode?: 'rw' | 'ro'; on?: string } = {}) {
    const volumeId = await putVolume(registry);
    const attachmentId = randomUUID();
    const instance = `vm-${attachmentId}`;
    const ticket = { volumeId, attachmentId, owner: anOwner('attach') };
    await beginAttach(registry, { ...ticket, instanceId: instance, computeHost: on, mode });
    const at = { backEnd: sourceBackEnd, deviceName: deviceName({ id: volumeId, nameId: null }) };
    const exported = {
      ...{ ...at, volumeId, generation: 0, identity: null, sizeBytes: gib },
      exportName: `attachment-${attachmentId}`,
      writable: mode === 'rw',
    };
    return { volumeId, instance, ticket, at, exported, disk: { instance, volumeId, device: null, mode } };
  }

  const nbd = (exportName: string, port = address.port) => ({
    kind: 'nbd' as const,
    address: { ...address, port, exportName },
  });

  test('a guest is given what the storage node has offered for its attachment, and nothing else', async () => {
    const { disk, exported } = await attaching();
    await refused(compute.attachDisk({ ...disk, source: nbd(exported.exportName) }));
    await storage.exportVolume(exported);
    await refused(compute.attachDisk({ ...disk, source: { kind: 'file', path: '/etc/shadow' } }));
    await refused(compute.attachDisk({ ...disk, source: { kind: 'block', path: '/dev/sda' } }));
    await refused(compute.attachDisk({ ...disk, source: nbd('attachment-of-another') }));
    await refused(compute.attachDisk({ ...disk, source: nbd(exported.exportName, 4444) }));
    await refused(compute.attachDisk({ ...disk, instance: 'another', source: nbd(exported.exportName) }));
    const other = await attaching();
    await refused(compute.attachDisk({ ...other.disk, source: nbd(exported.exportName) }));
    await compute.attachDisk({ ...disk, source: nbd(exported.exportName) });
    assert.deepEqual(done, ['attachDisk']);
  });

  test('a device of the same machine is given as the storage node has located it, and on no other machine', async () => {
    const located = async (of: Awaited<ReturnType<typeof attaching>>) => {
      const { writable: _, exportName: __, ...at } = of.exported;
      await storage.locateVolume({ ...at, nobodys: true });
      return { kind: 'block' as const, path: `/dev/group/${of.at.deviceName}` };
    };
    const here = await attaching({ on: nodeOf(sourceBackEnd) });
    const source = await located(here);
    await refused(beside.attachDisk({ ...here.disk, source: { ...source, path: '/dev/group/another' } }));
    await refused(beside.attachDisk({ ...here.disk, source: { ...source, kind: 'file' } }));
    await beside.attachDisk({ ...here.disk, source });
    const elsewhere = await attaching();
    await refused(compute.attachDisk({ ...elsewhere.disk, source: await located(elsewhere) }));
    // What is offered of another device of the volume is not its device now.
    await registry.rows(noColumns, `UPDATE offers SET device_name = 'volume-old' WHERE volume_id = $1`, [
      here.exported.volumeId,
    ]);
    await refused(beside.attachDisk({ ...here.disk, source }));
  });

  test('how a volume is reached is written down as its storage node has it, and not as somebody says', async () => {
    const { ticket, exported, at } = await attaching();
    const { exportName } = exported;
    const served = { backEnd: sourceBackEnd, device: at.deviceName };
    const connection = { protocol: 'nbd', ...address, exportName, ...served };
    const local = { protocol: 'local', kind: 'file', ...served };
    await storage.exportVolume(exported);
    const forged: Record<string, unknown>[] = [
      { ...local, path: '/etc/shadow' },
      { ...local, kind: 'block', path: '/dev/sda' },
      { ...local, path: `/tmp/${at.deviceName}` },
      { ...connection, exportName: '../../../etc/cron.d/mine' },
      { ...connection, exportName: deviceName({ id: randomUUID(), nameId: null }) },
      { ...connection, host: '192.0.2.1' },
      { ...connection, port: 22 },
      { ...connection, backEnd: destination },
      { ...connection, device: deviceName({ id: randomUUID(), nameId: null }) },
      {},
    ];
    for (const each of forged) await refused(control.finishAttach({ ...ticket, connection: each }));
    await control.finishAttach({ ...ticket, connection: { ...connection, domain: randomUUID() } });
    await finishAttach(registry, { ...ticket, connection });

    const args = claimArguments(ticket.volumeId);
    const { claim } = await claimVolume(registry, args);
    const name = deviceName({ id: ticket.volumeId, nameId: args.destinationNameId });
    const there = { backEnd: destination, deviceName: name, exportName: name, sizeBytes: gib };
    await storage.exportDestination({ ...there, volumeId: ticket.volumeId, migrationId: claim.migrationId });
    const to = { protocol: 'nbd', ...address, exportName: name, backEnd: destination, device: name };
    const switched = (how: Record<string, unknown>) =>
      control.switchVolume({ claim, attachment: { id: ticket.attachmentId, connection: how } });
    for (const each of [...forged, connection, { ...to, host: '192.0.2.1' }, { ...to, exportName }])
      await refused(switched(each));
    await switched(to);
    // What has lost the last commits does not know of the offer: the migration goes on.
    await registry.rows(noColumns, 'DELETE FROM offers WHERE volume_id = $1', [ticket.volumeId]);
    await switched(to);
    await refused(switched({ ...local, path: '/etc/shadow' }));
  });

  test('what was offered of an earlier attachment says nothing of this one, whose offer was forgotten', async () => {
    const { ticket, exported, at } = await attaching();
    const served = { backEnd: sourceBackEnd, device: at.deviceName };
    const earlier = { ...address, port: address.port + 1, exportName: `attachment-${randomUUID()}` };
    const of = { volumeId: ticket.volumeId, backEnd: sourceBackEnd, deviceName: at.deviceName };
    await recordOffer(registry, of, exportOffer(earlier));
    const connection = { protocol: 'nbd', ...address, exportName: exported.exportName, ...served };
    await refused(control.finishAttach({ ...ticket, connection: { ...connection, exportName: earlier.exportName } }));
    await control.finishAttach({ ...ticket, connection });
    await storage.exportVolume(exported);
    await refused(control.finishAttach({ ...ticket, connection: { ...connection, port: earlier.port } }));
  });

  test('an export is made for an attachment that waits for it, and no more writable than that is', async () => {
    const { exported } = await attaching({ mode: 'ro' });
    await refused(storage.exportVolume({ ...exported, writable: true }));
    await refused(storage.exportVolume({ ...exported, exportName: `attachment-${randomUUID()}` }));
    await refused(storage.exportVolume({ ...exported, deviceName: deviceName({ id: randomUUID(), nameId: null }) }));
    await refused(storage.exportVolume({ ...exported, backEnd: destination }));
    await storage.exportVolume(exported);
  });

  test('a volume whose devices and registry do not agree is given to nobody, though its attach had begun', async () => {
    const { exported, disk, volumeId } = await attaching();
    await storage.exportVolume(exported);
    await registry.rows(
      noColumns,
      `INSERT INTO discrepancies (back_end, device_name, volume_id, why) VALUES ($1, $2, $3, 'a newer device is there')`,
      [destination, `volume-${randomUUID()}`, volumeId],
    );
    await refused(storage.exportVolume(exported));
    await refused(compute.attachDisk({ ...disk, source: nbd(exported.exportName) }));
    await registry.rows(noColumns, 'DELETE FROM discrepancies WHERE volume_id = $1', [volumeId]);
    await storage.exportVolume(exported);
    await compute.attachDisk({ ...disk, source: nbd(exported.exportName) });
  });

  const connectionTo = (exportName: string) => ({
    protocol: 'nbd',
    ...address,
    exportName,
    backEnd: sourceBackEnd,
    device: 'd',
  });

  test('a volume that is attached keeps its disk and its export', async () => {
    const { volumeId, ticket, instance, exported } = await attaching();
    const connection = connectionTo(exported.exportName);
    await finishAttach(registry, { ...ticket, connection });
    await refused(compute.detachDisk({ instance, volumeId }));
    await refused(compute.detachDisk({ instance, volumeId, takesBack: true }));
    const { exportName } = exported;
    await refused(storage.removeExport({ backEnd: sourceBackEnd, exportName, cut: true }));
    await refused(storage.exportVolume(exported));
    await beginOperation(registry, 'detach', { volumeId, owner: anOwner('detach') });
  });

  test('a device is deleted while its volume is being deleted, and not before', async () => {
    const volumeId = await putVolume(registry);
    const at = { backEnd: sourceBackEnd, deviceName: deviceName({ id: volumeId, nameId: null }) };
    const live = { ...at, volumeId, generation: 0, identity: null };
    await refused(storage.deleteDevice(live));
    await refused(storage.extendDevice({ ...live, sizeBytes: 2 * gib }));
    await beginOperation(registry, 'delete', { volumeId, owner: anOwner('delete') });
    await refused(storage.deleteDevice({ ...live, backEnd: destination }));
    await refused(storage.extendDevice({ ...live, sizeBytes: 2 * gib }));
    await storage.deleteDevice(live);
  });

  test('a step of an operation is not done for the next one of its kind', async () => {
    const volumeId = await putVolume(registry);
    const at = { backEnd: sourceBackEnd, deviceName: deviceName({ id: volumeId, nameId: null }) };
    const step = { ...at, volumeId, generation: 0, identity: null, sizeBytes: 2 * gib };
    const [first, second] = [anOwner('first'), anOwner('second')];
    await beginOperation(registry, 'extend', { volumeId, owner: first });
    await refused(storage.extendDevice({ ...step, owner: second }));
    await storage.extendDevice({ ...step, owner: first });
    await finishOperation(registry, 'extend', { volumeId, owner: first });
    await refused(storage.extendDevice({ ...step, owner: first }));
    await beginOperation(registry, 'extend', { volumeId, owner: second });
    await refused(storage.extendDevice({ ...step, owner: first }));
    await storage.extendDevice({ ...step, owner: second });
  });

  test('a step that asks once more, when its operation has ended meanwhile, is too late', async () => {
    const { exported, ticket } = await attaching();
    const end = () => failAttach(registry, { ...ticket, reason: { type: 'VolumeInUse', message: 'it is open' } });
    const steps = requireWarrants<StorageActivities>(storageInputs, storageWarrants(registry), {
      exportVolume: async () => {
        await stillWanted();
        await end();
        await stillWanted();
        assert.fail('it is not wanted any more');
      },
    } as never);
    await assert.rejects(steps.exportVolume({ ...exported, owner: ticket.owner }), ferryError('Fenced'));
    // Nobody asks where nothing was asked before.
    await stillWanted();
  });

  test("a migration's steps are done for its own devices, while it has the volume; what it made goes when it goes back", async () => {
    const volumeId = await putVolume(registry);
    const args = claimArguments(volumeId);
    const { claim, ...m } = await claimVolume(registry, args);
    const { migrationId } = claim;
    const there = { backEnd: destination, deviceName: deviceName({ id: volumeId, nameId: args.destinationNameId }) };
    const made = { ...there, volumeId, migrationId, sizeBytes: gib, generation: claim.epoch, labels: [] };
    await storage.prepareDestination(made);
    await refused(storage.prepareDestination({ ...made, backEnd: sourceBackEnd }));
    await refused(storage.prepareDestination({ ...made, generation: claim.epoch + 1 }));
    await refused(storage.prepareDestination({ ...made, migrationId: randomUUID() }));
    const hold = { ...m.source, volumeId, sizeBytes: gib, migrationId };
    await storage.holdSource(hold);
    await refused(storage.holdSource({ ...hold, ...there }));
    const taken = { ...there, migrationId };
    const successor = { ...taken, volumeId, generation: claim.epoch, identity: null, sizeBytes: gib };
    await refused(storage.deleteDestination(taken));
    await refused(storage.settleDestination(successor));
    await refused(storage.releaseSource({ backEnd: sourceBackEnd, deviceName: hold.deviceName, migrationId }));
    await enterPhase(registry, claim, 'undoing');
    await refused(storage.prepareDestination(made));
    await storage.deleteDestination(taken);
    await releaseVolume(registry, claim, { outcome: 'cancelled', error: null });
    await refused(storage.holdSource(hold));
    await storage.deleteDestination(taken);
  });

  test('a mirror goes nowhere but where the destination was offered', async () => {
    const { volumeId, ticket, exported, instance } = await attaching();
    await storage.exportVolume(exported);
    const connection = connectionTo(exported.exportName);
    await finishAttach(registry, { ...ticket, connection });
    const disk = { instance, volumeId };
    const source = nbd(exported.exportName);
    await refused(compute.pauseMirror(disk));
    const args = claimArguments(volumeId);
    const { claim } = await claimVolume(registry, args);
    const name = deviceName({ id: volumeId, nameId: args.destinationNameId });
    const there = { backEnd: destination, deviceName: name, exportName: name, sizeBytes: gib, volumeId };
    const mirror = (to: ReturnType<typeof nbd>) =>
      compute.mirrorDisk({ ...disk, source, destination: to, bandwidth: null });
    await refused(mirror(nbd(name)));
    await storage.exportDestination({ ...there, migrationId: claim.migrationId });
    await refused(mirror({ kind: 'nbd', address: { ...address, exportName: name, host: '192.0.2.1' } }));
    await refused(
      compute.pivotDisk({ ...disk, source, destination: { kind: 'file', path: '/etc/passwd' }, isDecided: true }),
    );
    await refused(mirror(source));
    await mirror(nbd(name));
    await compute.pauseMirror(disk);
    await refused(compute.pauseMirror({ ...disk, instance: 'another' }));
    const turn = { ...disk, source, destination: nbd(name), isDecided: true };
    await refused(compute.pivotDisk(turn));
    await enterPhase(registry, claim, 'switching');
    await compute.pivotDisk(turn);
  });

  test('nothing but the mirror fills what a guest is mirrored to, and only a copy what is copied to', async () => {
    const { volumeId, ticket, exported } = await attaching();
    await storage.exportVolume(exported);
    const connection = { protocol: 'nbd', ...address, exportName: exported.exportName, backEnd: sourceBackEnd };
    await finishAttach(registry, { ...ticket, connection: { ...connection, device: exported.deviceName } });
    const toDestination = async (of: string) => {
      const args = claimArguments(of);
      const { claim } = await claimVolume(registry, args);
      const at = { backEnd: destination, deviceName: deviceName({ id: of, nameId: args.destinationNameId }) };
      return { ...at, sizeBytes: gib, migrationId: claim.migrationId, volumeId: of, from: copyStart };
    };
    const pulled = { bandwidth: null, readsZero: true, digest: false, source: nbd(exported.exportName).address };
    const mirrored = await toDestination(volumeId);
    await refused(storage.pullVolume({ ...mirrored, ...pulled }));
    await refused(storage.copyVolume({ ...mirrored, ...pulled, source: exported }));
    await storage.unmapZeros({ ...mirrored, round: 1 });
    const source0 = { backEnd: sourceBackEnd, deviceName: deviceName({ id: volumeId, nameId: null }) };
    const compared = { ...mirrored, bandwidth: null, source: nbd(`migration-${mirrored.migrationId}`).address };
    await refused(storage.compareVolume(compared));
    const whole = { ...source0, volumeId, generation: 0, identity: null, sizeBytes: gib };
    await storage.exportSource({ ...whole, exportName: compared.source.exportName, migrationId: mirrored.migrationId });
    await storage.compareVolume(compared);
    await refused(storage.compareVolume({ ...compared, source: nbd(exported.exportName).address }));

    const other = await putVolume(registry);
    const copied = await toDestination(other);
    await refused(storage.unmapZeros({ ...copied, round: 1 }));
    await refused(storage.compareVolume({ ...copied, bandwidth: null, source: compared.source }));
    await refused(storage.exportDestination({ ...copied, exportName: copied.deviceName }));
    const source = { backEnd: sourceBackEnd, deviceName: deviceName({ id: other, nameId: null }) };
    await refused(storage.pullVolume({ ...copied, ...pulled }));
    const { migrationId } = copied;
    const exportName = `migration-${migrationId}`;
    const live = { ...source, volumeId: other, generation: 0, identity: null };
    await storage.exportSource({ ...live, exportName, sizeBytes: gib, migrationId });
    const read = { ...pulled, source: nbd(exportName).address };
    await storage.pullVolume({ ...copied, ...read });
    const reading = { sizeBytes: gib, migrationId, from: copyStart, bandwidth: null };
    await storage.digestVolume({ ...reading, ...source, volumeId: other });
    await refused(storage.digestVolume({ ...reading, ...exported }));
    const left = { ...source, exportName, migrationId, identity: null };
    await refused(storage.retireSource({ ...left, volumeId, proof: null }));
    await refused(storage.fenceSource({ ...left, volumeId: other }));
    await registry.rows(noColumns, 'UPDATE migrations SET switched_at = now() WHERE id = $1', [migrationId]);
    await refused(storage.fenceSource({ ...left, volumeId }));
    await storage.fenceSource({ ...left, volumeId: other });
    await refused(storage.pullVolume({ ...copied, ...read }));
    await refused(storage.retireSource({ ...left, volumeId, proof: null }));
    await refused(storage.keepSource({ ...left, volumeId }));
    await storage.keepSource({ ...left, volumeId: other });
  });

  test('a new volume is filled from what it is made from, as its node has offered it, and from nothing else', async () => {
    const [sourceVolumeId, stranger, empty] = [await putVolume(registry), await putVolume(registry), randomUUID()];
    const volumeId = randomUUID();
    const owner = anOwner('create');
    const wanted = { tenantId: 'tenant-1', backEnd: destination };
    await beginCreate(registry, { ...wanted, volumeId, owner, sizeBytes: 2 * gib, sourceVolumeId });
    await beginCreate(registry, { ...wanted, volumeId: empty, owner: anOwner('create'), sizeBytes: gib });
    const at = (id: string, backEnd = destination) => ({ backEnd, deviceName: deviceName({ id, nameId: null }) });
    const device = { ...at(volumeId), sizeBytes: gib, tags: fillingTags(volumeId), toFill: true };
    await refused(storage.createDevice({ ...device, sizeBytes: 2 * gib }));
    await refused(storage.createDevice({ ...device, tags: liveTags(volumeId) }));
    await refused(storage.createDevice({ ...device, ...at(empty), tags: fillingTags(empty) }));
    await refused(storage.createDevice({ ...device, toFill: false }));
    await storage.createDevice(device);
    const filled = { ...at(volumeId), volumeId, owner };
    const origin = await findOrigin(registry, volumeId);
    const other = { ...origin, ...at(stranger, sourceBackEnd), volumeId: stranger };
    const copied = { ...filled, sizeBytes: gib, readsZero: true, digest: true, from: copyStart, bandwidth: null };
    const from = nbd(copyExportName(volumeId)).address;
    await refused(storage.openOrigin({ ...filled, origin: other, exported: true }));
    await refused(storage.openOrigin({ ...filled, owner: 'another', origin, exported: true }));
    await refused(storage.fillDevice({ ...copied, origin, source: from }));
    await offers(origin, from);
    await refused(storage.fillDevice({ ...copied, origin, source: { ...from, port: 4444 } }));
    await refused(storage.fillDevice({ ...copied, origin: other, source: null }));
    await refused(storage.fillDevice({ ...copied, ...at(stranger), origin, source: from }));
    await storage.fillDevice({ ...copied, origin, source: from });
    await storage.digestFilled(copied);
    const whole = { ...filled, generation: 0, identity: 'an-identity', sizeBytes: 2 * gib };
    await refused(storage.completeDevice({ ...whole, sizeBytes: gib }));
    await storage.completeDevice(whole);
    await finishCreate(registry, { volumeId, owner, identity: 'an-identity' });
    await refused(storage.fillDevice({ ...copied, origin, source: null }));
    await refused(storage.digestFilled(copied));
    await refused(storage.completeDevice(whole));
  });

  test('a device is made as new, and is let go under its own name', async () => {
    const of = (id: string) => ({ backEnd: sourceBackEnd, deviceName: deviceName({ id, nameId: null }), volumeId: id });
    const begun = { operation: 'create', operation_owner: anOwner('create'), operation_since: new Date() };
    const volumeId = await putVolume(registry, { status: 'creating', previous_status: 'creating', ...begun });
    const { volumeId: _, ...at } = of(volumeId);
    const made = { ...at, sizeBytes: gib };
    const tags = liveTags(volumeId);
    await refused(storage.createDevice({ ...made, tags: liveTags(volumeId, 7) }));
    await refused(storage.createDevice({ ...made, tags: [...tags, generationTag(7)] }));
    await refused(storage.createDevice({ ...made, tags: [...tags, migrationTag(randomUUID())] }));
    await refused(storage.createDevice({ ...made, tags: tags.slice(0, 1) }));
    await storage.createDevice({ ...made, tags: [...tags, 'ferry.name=mine'] });
    const leaving = await putVolume(registry);
    await beginOperation(registry, 'unmanage', { volumeId: leaving, owner: anOwner('unmanage') });
    const live = { ...of(leaving), generation: 0, identity: null };
    await refused(storage.disownDevice({ ...live, newName: deviceName({ id: randomUUID(), nameId: null }) }));
    await storage.disownDevice({ ...live, newName: live.deviceName });
  });
});

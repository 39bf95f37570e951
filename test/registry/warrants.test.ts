import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { computeInputs } from '../../activities/inputs/compute.ts';
import { storageInputs } from '../../activities/inputs/storage.ts';
import { computeWarrants } from '../../activities/warrants/compute-warrants.ts';
import { requireWarrants } from '../../activities/warrants/require-warrants.ts';
import { storageWarrants } from '../../activities/warrants/storage-warrants.ts';
import type { ComputeActivities } from '../../activities/compute/create-compute-activities.ts';
import type { StorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { gib } from '../../model/sizes.ts';
import { deviceName } from '../../model/names.ts';
import { beginAttach, finishAttach } from '../../registry/attachments.ts';
import { claimVolume } from '../../registry/claim.ts';
import { reportComputeNode } from '../../registry/compute-nodes.ts';
import { enterPhase, releaseVolume } from '../../registry/migration-steps.ts';
import { beginOperation } from '../../registry/operations.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import {
  anOwner,
  claimArguments,
  destination,
  ferryError,
  putBackEnd,
  putVolume,
  source as sourceBackEnd,
} from './world.ts';

const hypervisor = 'hv1';
const address = { host: '10.0.0.1', port: 10_809, tls: true };

describe('the registry is asked before a step is done', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  let done: string[];
  let storage: StorageActivities;
  let compute: ComputeActivities;
  before(async () => {
    registry = await testRegistry();
    await putBackEnd(registry, sourceBackEnd);
    await putBackEnd(registry, destination);
    await reportComputeNode(registry, hypervisor);
    const played = (names: object, answer: (name: string, input: { exportName?: string }) => unknown) =>
      Object.fromEntries(
        Object.keys(names).map((name) => [
          name,
          async (input: { exportName?: string }) => {
            done.push(name);
            return answer(name, input);
          },
        ]),
      ) as never;
    done = [];
    storage = requireWarrants<StorageActivities>(
      storageInputs,
      storageWarrants(registry),
      played(storageInputs, (name, { exportName }) =>
        name === 'locateVolume' ? { kind: 'block', path: '/dev/group/volume' } : { ...address, exportName },
      ),
    );
    compute = requireWarrants<ComputeActivities>(
      computeInputs,
      computeWarrants(registry, hypervisor),
      played(computeInputs, () => null),
    );
  });

  async function refused(step: Promise<unknown>): Promise<void> {
    done.length = 0;
    await assert.rejects(step, ferryError('Forbidden'));
    assert.deepEqual(done, []);
  }

  /** A volume of which an attach is under way, its export made as its workflow has it made. */
  async function attaching({ mode = 'rw' }: { mode?: 'rw' | 'ro' } = {}) {
    const volumeId = await putVolume(registry);
    const attachmentId = randomUUID();
    const instance = `vm-${attachmentId}`;
    const ticket = { volumeId, attachmentId, owner: anOwner('attach') };
    await beginAttach(registry, { ...ticket, instanceId: instance, computeHost: hypervisor, mode });
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

  test('a device of the same machine is given as the storage node has located it', async () => {
    const { disk, exported, at } = await attaching();
    const { writable: _, exportName: __, ...located } = exported;
    await storage.locateVolume({ ...located, nobodys: true });
    await refused(compute.attachDisk({ ...disk, source: { kind: 'block', path: '/dev/group/another' } }));
    await refused(compute.attachDisk({ ...disk, source: { kind: 'file', path: '/dev/group/volume' } }));
    // What is offered of another device of the volume is not its device now.
    await registry.rows(noColumns, 'UPDATE offers SET device_name = $2 WHERE volume_id = $1 AND device_name = $3', [
      exported.volumeId,
      'volume-old',
      at.deviceName,
    ]);
    await refused(compute.attachDisk({ ...disk, source: { kind: 'block', path: '/dev/group/volume' } }));
  });

  test('an export is made for an attachment that waits for it, and no more writable than that is', async () => {
    const { exported } = await attaching({ mode: 'ro' });
    await refused(storage.exportVolume({ ...exported, writable: true }));
    await refused(storage.exportVolume({ ...exported, exportName: `attachment-${randomUUID()}` }));
    await refused(storage.exportVolume({ ...exported, deviceName: deviceName({ id: randomUUID(), nameId: null }) }));
    await refused(storage.exportVolume({ ...exported, backEnd: destination }));
    await storage.exportVolume(exported);
  });

  test('a volume that is attached keeps its disk and its export', async () => {
    const { volumeId, ticket, instance, exported } = await attaching();
    const connection = {
      protocol: 'nbd',
      ...address,
      exportName: exported.exportName,
      backEnd: sourceBackEnd,
      device: 'd',
    };
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
    const connection = {
      protocol: 'nbd',
      ...address,
      exportName: exported.exportName,
      backEnd: sourceBackEnd,
      device: 'd',
    };
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
  });
});

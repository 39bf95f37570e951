import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, open } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Job } from '../../activities/storage/copy-job.ts';
import { createCopier, type DisposableCopier } from '../../activities/storage/copier/create-copier.ts';
import { copySlots } from '../../activities/storage/copy-slots.ts';
import { createStorageActivities } from '../../activities/storage/create-storage-activities.ts';
import { createDirectoryDriver } from '../../activities/storage/directory/directory-driver.ts';
import type { Device, VolumeDriver } from '../../activities/storage/driver.ts';
import type { ExportAddress, Exports } from '../../activities/storage/exports.ts';
import type { MigrationRecord, MigrationRequestInput } from '../../model/migration.ts';
import { liveTags, volumeTag } from '../../model/device.ts';
import { deviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { isKeptSource } from '../../registry/kept-sources.ts';
import { currentDevices } from '../../registry/leftovers.ts';
import { needsRepair } from '../../registry/discrepancies.ts';
import { findMigration } from '../../registry/migrations.ts';
import { isCurrentLocation, volumeOrNull } from '../../registry/volumes.ts';
import { registryTime, whereabouts } from '../../registry/whereabouts.ts';
import { removeFolder } from '../../setup/remove-folder.mjs';
import { smallFileSystem } from '../activities/storage/copier/volumes.ts';
import { putBackEnd, putVolume } from '../registry/world.ts';
import { PlayedNodes } from './played-nodes.ts';
import { loopbackExports } from '../activities/storage/exports/loopback-exports.ts';

const mib = 1024 ** 2;
/** A range that is read back by itself, and half of one. */
const sizeBytes = 96 * mib;
const dataBytes = 24 * mib;
const pattern = Buffer.from('a bit of a flip');
const [one, other, far, memory] = ['server1@one', 'server1@other', 'server2@far', 'server2@memory'] as const;

/** Where a bit flips, once in each migration. Nobody is told. */
type Fault =
  | 'on the wire'
  | 'on the wire, always'
  | 'in the copier of the node'
  | 'on the destination'
  | 'on the source'
  | null;

let nodes: PlayedNodes;
let folder: string;
let copier: DisposableCopier;
let fault: Fault = null;
/** The source's worker is from before its server told digests. */
let isOlder = false;
const drivers = new Map<string, VolumeDriver>();
const proxies = new Set<net.Server>();
const exporters: Exports[] = [];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ferry-proof-'));
  nodes = await PlayedNodes.start([]);
  copier = createCopier();
  for (const [i, node] of ['server1', 'server2'].entries()) {
    const exports = loopbackExports({
      stateDirectory: path.join(folder, node),
      ports: { from: 21_850 + 10 * i, to: 21_859 + 10 * i },
    });
    exporters.push(exports);
    await nodes.serve(
      node,
      createStorageActivities({
        drivers,
        exports: { ...exports, ensure: async (spec) => throughFaults(await exports.ensure(spec)) },
        copier: { run: (job, options) => runWithFaults(job, (real) => copier.run(real, options)) },
        tls: null,
        slots: copySlots(4),
        isCurrentLocation: (backEnd, name) => isCurrentLocation(nodes.registry, backEnd, name),
        isKeptSource: (backEnd, name) => isKeptSource(nodes.registry, backEnd, name),
        currentDevices: (backEnd) => currentDevices(nodes.registry, backEnd),
        whereabouts: (volumeId, leftBy) => whereabouts(nodes.registry, volumeId, leftBy),
        needsRepair: (backEnd, volumeId) => needsRepair(nodes.registry, backEnd, volumeId),
        registryTime: () => registryTime(nodes.registry),
        reportProgress: async () => {},
        noProgressMs: 60_000,
        marksDirectory: path.join(folder, 'marks'),
      }),
    );
  }
});
after(async () => {
  await nodes?.stop();
  await copier?.dispose();
  for (const exports of exporters) for (const { exportName } of await exports.list()) await exports.remove(exportName);
  removeFolder(folder);
});

let id: string;
let contents: string;
beforeEach(async () => {
  fault = null;
  isOlder = false;
  drivers.clear();
  for (const backEnd of [one, other, far]) await addBackEnd(backEnd, path.join(folder, backEnd));
  id = await putVolume(nodes.registry, { host: one, size_bytes: sizeBytes });
  const name = deviceName({ id, nameId: null });
  const made = await drivers.get(one)!.create({ name, sizeBytes, tags: liveTags(id), zero: true });
  await using file = await open(made.path, 'r+');
  await file.write(randomBytes(dataBytes), 0, dataBytes, 0);
  await file.write(Buffer.alloc(mib, pattern), 0, mib, 0);
  await file.sync();
  contents = await hashOf(one);
});
afterEach(() => {
  for (const proxy of proxies) proxy.close();
  proxies.clear();
});

async function addBackEnd(backEnd: string, at: string): Promise<void> {
  await mkdir(at, { recursive: true });
  drivers.set(backEnd, createDirectoryDriver({ path: at, capacityBytes: 100 * gib }));
  await reportBackEnd(backEnd);
}

const reportBackEnd = (backEnd: string) => putBackEnd(nodes.registry, backEnd, { driver: 'directory' });

/** The volume's only device on the back end. */
async function deviceOn(backEnd: string): Promise<Device> {
  const [device] = (await drivers.get(backEnd)!.list()).filter(({ tags }) => tags.includes(volumeTag(id)));
  return device!;
}

/** Of what that begins with. */
async function hashOf(backEnd: string): Promise<string> {
  await using file = await open((await deviceOn(backEnd)).path);
  const { buffer } = await file.read(Buffer.alloc(dataBytes), 0, dataBytes, 0);
  return createHash('sha256').update(buffer).digest('hex');
}

async function flip(file: string, at = 5 * mib): Promise<void> {
  await using handle = await open(file, 'r+');
  const byte = new Uint8Array(1);
  await handle.read(byte, 0, 1, at);
  byte[0]! ^= 0x10;
  await handle.write(byte, 0, 1, at);
  await handle.sync();
}

/** The network between the nodes, which changes one bit of what the source sends. */
async function throughFaults({ digests, ...rest }: ExportAddress): Promise<ExportAddress> {
  const address = { ...rest, ...(digests && !isOlder && { digests }) };
  if (fault !== 'on the wire' && fault !== 'on the wire, always') return address;
  const isAlways = fault === 'on the wire, always';
  let seen = 0;
  const proxy = net.createServer((client) => {
    const server = net.connect(address.port, address.host);
    client.pipe(server);
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    server.on('error', () => client.destroy()).on('end', () => client.end());
    server.on('data', (bytes: Buffer) => {
      // The first megabyte is a pattern that is nowhere else.
      const at = isAlways ? bytes.indexOf(pattern) : 20_000_000 - seen;
      if (at >= 0 && at < bytes.length) bytes[at]! ^= 0x10;
      seen += bytes.length;
      if (client.write(bytes)) return;
      server.pause();
      client.once('drain', () => server.resume());
    });
  });
  proxies.add(proxy);
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return { ...address, port: (proxy.address() as net.AddressInfo).port };
}

/** The copier, and what may go wrong around it. */
async function runWithFaults<T>(job: Job, run: (job: Job) => Promise<T>): Promise<T> {
  const wrong = path.join(folder, 'read wrongly');
  const readWrongly = async (device: string) => {
    await copyFile(device, wrong);
    await flip(wrong);
  };
  if (job.kind === 'digest' && fault === 'on the source' && job.device.path === (await deviceOn(one)).path) {
    await readWrongly(job.device.path);
    return run({ ...job, device: { ...job.device, path: wrong } });
  }
  if (job.kind !== 'copy') return run(job);
  if ('devicePath' in job.source && fault === 'in the copier of the node') {
    await readWrongly(job.source.devicePath);
    return run({ ...job, source: { devicePath: wrong } });
  }
  const result = await run(job);
  if (fault === 'on the destination') await flip(job.destination.path);
  return result;
}

async function migrate(destination: string, request: Partial<MigrationRequestInput> = {}): Promise<MigrationRecord> {
  // One that has not been heard of for a while is down.
  await Promise.all([...drivers.keys()].map(reportBackEnd));
  const handle = await nodes.migrate(id, { destination, ...request });
  await handle.result().catch(() => {});
  return findMigration(nodes.registry, id);
}

async function assertBack(record: MigrationRecord, destination: string, says: RegExp): Promise<void> {
  assert.deepEqual([record.outcome, record.error?.type], ['error', 'ChecksumMismatch']);
  assert.match(record.error!.message, says);
  assert.equal((await volumeOrNull(nodes.registry, id))?.host, one);
  const left = (await drivers.get(destination)!.list()).filter(({ tags }) => tags.includes(volumeTag(id)));
  assert.deepEqual(left, []);
}

const waySays = /holds other bytes than arrived at .* changed on their way/;
const diskSays = /does not hold what arrived from .* Check the destination's disk/;

describe('a bit that flips', () => {
  test('on the wire is found at once, and copied again', async () => {
    fault = 'on the wire';
    for (const verify of [null, 'reread'] as const) {
      const { outcome, proof, error, evidence } = await migrate(far, { verify, keepSourceSeconds: 3600 });
      assert.deepEqual([outcome, proof, error], ['success', 'both', null]);
      assert.deepEqual(evidence, { source: 'server', destination: 'copier', copiedAgain: 1 });
      assert.equal(await hashOf(far), contents);
      fault = null;
      await goBack();
      fault = 'on the wire';
    }
  });

  test('on the wire whenever it is sent takes the migration back, with its place', async () => {
    fault = 'on the wire, always';
    await assertBack(await migrate(far), far, /between byte 0 and 1048576, although these were copied 4 times/);
    assert.equal(await hashOf(one), contents);
  });

  test('on the wire from an older node is found by the source itself, unless nobody asks it', async () => {
    isOlder = true;
    fault = 'on the wire';
    await assertBack(await migrate(far), far, waySays);
    assert.equal(await hashOf(one), contents);
    await assertBack(await migrate(far, { verify: 'reread' }), far, waySays);
    assert.equal(await hashOf(one), contents);
    const { outcome, proof, error } = await migrate(far, { verify: 'inline' });
    assert.deepEqual([outcome, proof, error], ['success', 'inline', null]);
    assert.notEqual(await hashOf(far), contents, 'the wire did flip it');
  });

  test('within a node, between two of its back ends, too', async () => {
    fault = 'in the copier of the node';
    // A source that is kept is copied, also where a second name would do.
    await assertBack(await migrate(other, { keepSourceSeconds: 3600 }), other, waySays);
    assert.equal(await hashOf(one), contents);
    await assertBack(await migrate(other, { keepSourceSeconds: 3600, verify: 'reread' }), other, waySays);
    assert.equal(await hashOf(one), contents);
  });

  for (const destination of [far, other])
    test(`on the disk of ${destination}, before it is read back`, async () => {
      isOlder = true;
      fault = 'on the destination';
      await assertBack(await migrate(destination, { keepSourceSeconds: 3600 }), destination, diskSays);
      assert.equal(await hashOf(one), contents);
    });

  test('on the source, when it is read again', async () => {
    isOlder = true;
    fault = 'on the source';
    await assertBack(await migrate(far), far, waySays);
  });
});

describe('the record of a migration says how its copy was proven', () => {
  test('at both ends, if nothing else was asked for; and so is the way back to a kept source', async () => {
    const { outcome, proof, digest, flow, evidence } = await migrate(far, { keepSourceSeconds: 3600 });
    assert.deepEqual([outcome, proof, flow], ['success', 'both', 'generic-detached']);
    assert.deepEqual(evidence, { source: 'server', destination: 'copier', copiedAgain: 0 });
    assert.equal(await hashOf(far), contents);
    const { undone } = await goBack();
    assert.deepEqual([undone.outcome, undone.proof, undone.digest], ['success', 'both', digest]);
    assert.equal(await hashOf(one), contents);
  });

  test('at both ends by another read of each, where the source is on an older node: with the same digest', async () => {
    const { digest } = await migrate(far, { keepSourceSeconds: 3600 });
    await goBack();
    isOlder = true;
    const older = await migrate(far);
    assert.deepEqual([older.outcome, older.proof, older.digest], ['success', 'both', digest]);
    assert.deepEqual(older.evidence, { source: 'second read', destination: 'second read', copiedAgain: 0 });
  });

  test('at both ends, where the node itself copies', async () => {
    const { outcome, proof, flow } = await migrate(other, { keepSourceSeconds: 3600 });
    assert.deepEqual([outcome, proof, flow], ['success', 'both', 'assisted']);
  });

  test('as shared, where nothing was copied', async () => {
    const { outcome, proof, digest } = await migrate(other);
    assert.deepEqual([outcome, proof, digest], ['success', 'shared', null]);
    assert.equal(await hashOf(other), contents);
  });

  test('at both ends, where reading back was asked for and the way notices no changes', async () => {
    const { outcome, proof } = await migrate(far, { verify: 'reread' });
    assert.deepEqual([outcome, proof], ['success', 'both']);
  });

  for (const verify of ['inline', 'none'] as const)
    test(`as ${verify}, when that was asked for`, async () => {
      const { outcome, proof, digest } = await migrate(far, { verify });
      assert.deepEqual([outcome, proof, digest === null], ['success', verify, verify === 'none']);
    });

  test('as read from memory, where nothing else can be read', async (t) => {
    await addBackEnd(memory, await smallFileSystem(t, 64 * mib));
    const { outcome, proof } = await migrate(memory, { keepSourceSeconds: 3600 });
    assert.deepEqual([outcome, proof], ['success', 'cache']);
    assert.equal(await hashOf(memory), contents);
    const { undone } = await goBack();
    assert.deepEqual([undone.outcome, undone.proof], ['success', 'cache']);
  });
});

async function goBack(): Promise<{ undone: MigrationRecord }> {
  const { id: undoes } = await findMigration(nodes.registry, id);
  return { undone: await migrate(one, { undoes }) };
}

test('a migration shows from the beginning of its copy how that will be verified', async () => {
  const handle = await nodes.migrate(id, { destination: far });
  await handle.result();
  assert.equal((await nodes.state(handle)).verify, 'both');
});

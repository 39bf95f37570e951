import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readFile, truncate } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { blake3 } from '@napi-rs/blake-hash';
import { execa } from 'execa';
import { openDevice } from '../../../../activities/storage/copier/open-device.ts';
import { deviceFacts } from '../../../../activities/storage/copier/block-device.ts';
import { connectNbd, type NbdSource } from '../../../../activities/storage/copier/nbd/connection.ts';
import { tellsHoles } from '../../../../activities/storage/file-system.ts';
import { digestsOf } from '../../../../activities/storage/exports/digests-of.ts';
import { serveSource, type Served } from '../../../../activities/storage/exports/server/served.ts';
import { serveClient, usualLimits, type SessionLimits } from '../../../../activities/storage/exports/server/session.ts';
import { cleanUp } from '../copier/cleanup.ts';
import { assertSame, loopDevice, mib, mixture, scratchFolder, writeVolume, type Content } from '../copier/volumes.ts';

const exportName = 'volume';

interface OwnServer {
  readonly port: number;
  readonly url: string;
  /** Clients that are connected. */
  readonly clients: () => number;
  /** All bytes that were sent to clients. */
  readonly sentBytes: () => number;
}

/** Serves a device from this process, so that its clients can be counted. */
async function serve(t: TestContext, device: string, limits: SessionLimits = usualLimits): Promise<OwnServer> {
  const facts = await deviceFacts(device);
  const { file } = await openDevice(facts, 'read');
  const served = serveSource(file, { ...facts, tellsHoles: await tellsHoles(device) });
  const offered = new Map<string, Served>([
    [exportName, served.device],
    [digestsOf(exportName), served.digests],
  ]);
  const sockets = new Set<net.Socket>();
  let sent = 0;
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      sent += socket.bytesWritten;
    });
    serveClient(socket, { offered, startTls: null, limits });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanUp(t, async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    while (sockets.size > 0) await sleep(5);
    await file.close();
  });
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    url: `nbd://127.0.0.1:${port}/${exportName}`,
    clients: () => sockets.size,
    sentBytes: () => sent + [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
  };
}

async function connected(t: TestContext, { port }: OwnServer, name = exportName): Promise<NbdSource> {
  const { signal } = new AbortController();
  const address = { host: '127.0.0.1', port, exportName: name, tls: false };
  const source = await connectNbd({ address, tls: null, signal });
  cleanUp(t, () => source.close());
  return source;
}

const contents: Record<string, readonly (readonly [Content, number])[]> = {
  'a mixture of data, zeros and holes': mixture,
  'less than a block': [['data', 12 * 1024]],
  'a size that O_DIRECT refuses': [
    ['data', 2 * mib],
    ['hole', 3 * mib + 512],
  ],
};

for (const [what, pieces] of Object.entries(contents)) {
  for (const kind of ['file', 'block device'] as const) {
    test(`the usual clients read ${what} from a ${kind} as it is`, async (t) => {
      const folder = await scratchFolder(t);
      const file = path.join(folder, 'from');
      const sizeBytes = await writeVolume(file, pieces);
      const server = await serve(t, kind === 'file' ? file : await loopDevice(t, file));
      const to = (name: string) => path.join(folder, name);
      assert.equal((await execa('nbdinfo', ['--size', server.url])).stdout, String(sizeBytes));
      await execa('nbdcopy', ['--connections=4', server.url, to('nbdcopy')]);
      await assertSame(file, to('nbdcopy'));
      await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', '-m', '16', '-W', server.url, to('qemu-img')]);
      await assertSame(file, to('qemu-img'));
      const odd = ['-c', 'read -q 511 1', '-c', `read -q ${sizeBytes - 700} 700`];
      await execa('qemu-io', ['-r', '-f', 'raw', ...odd, server.url]);
      assert.equal((await execa('nbdinfo', ['--map', '--totals', server.url])).exitCode, 0);
    });

    test(`the digests of ${what} on a ${kind} are those of its blocks, read before or not`, async (t) => {
      const file = path.join(await scratchFolder(t), 'from');
      await writeVolume(file, pieces);
      const bytes = await readFile(file);
      const expected = Buffer.concat(
        Array.from({ length: Math.ceil(bytes.length / mib) }, (_, n) => blake3(bytes.subarray(n * mib, (n + 1) * mib))),
      );
      const server = await serve(t, kind === 'file' ? file : await loopDevice(t, file));
      const digests = await connected(t, server, digestsOf(exportName));
      assert.equal(digests.sizeBytes, expected.length);
      const found = Buffer.alloc(expected.length);
      const device = await connected(t, server);
      // Some of it was read before, a block in parts and a block as a whole.
      for (const at of [0, 4096, 8192]) await device.read(at, new Uint8Array(4096));
      if (bytes.length > 4 * mib) await device.read(3 * mib, new Uint8Array(mib));
      await digests.read(0, found);
      assert.deepEqual(found, expected);
      const part = Buffer.alloc(expected.length - 7);
      await digests.read(7, part);
      assert.deepEqual(part, expected.subarray(7));
    });
  }
}

test('zeros cross no wire, from a block device neither', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [
    ['data', mib],
    ['zeros', 62 * mib],
    ['data', mib + mib / 2],
    ['zeros', mib / 2],
  ]);
  const server = await serve(t, await loopDevice(t, file));
  const source = await connected(t, server);
  const bytes = await readFile(file);
  const block = Buffer.alloc(mib, 1);
  for (let at = 0; at < bytes.length; at += mib) {
    await source.read(at, block);
    assert.ok(block.equals(bytes.subarray(at, at + mib)), `the block at ${at}`);
  }
  assert.ok(server.sentBytes() < 2.6 * mib, `${server.sentBytes()} bytes were sent`);
});

test('what is written to the device shows in what is read and digested after it', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', 4 * mib]]);
  const server = await serve(t, file);
  const digests = await connected(t, server, digestsOf(exportName));
  const source = await connected(t, server);
  const [before, after] = [Buffer.alloc(32), Buffer.alloc(32)];
  await source.read(mib, new Uint8Array(mib));
  await digests.read(32, before);
  const handle = await open(file, 'r+');
  await handle.write(randomBytes(4096), 0, 4096, mib + 8192);
  await handle.close();
  const now = Buffer.alloc(mib);
  await source.read(mib, now);
  await digests.read(32, after);
  assert.notDeepEqual(after, before);
  assert.deepEqual(after, blake3(now));
});

const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
};
const option = (code: number, data: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from('IHAVEOPT'), u32(code), u32(data.length), data]);
/** A handshake without a fault, to structured replies. */
const handshake = Buffer.concat([
  u32(3),
  option(8),
  option(7, Buffer.concat([u32(exportName.length), Buffer.from(exportName), Buffer.from([0, 0])])),
]);
const request = (kind: number, offset: number, length: number, cookie = 1) => {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(kind, 6);
  bytes.writeUInt32BE(cookie, 12);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
};

/** A connection without manners. */
async function raw(t: TestContext, { port }: OwnServer) {
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  cleanUp(t, () => socket.destroy());
  await once(socket, 'connect');
  const received: Buffer[] = [];
  socket.on('data', (bytes) => received.push(bytes));
  return { socket, received: () => Buffer.concat(received) };
}

test('nothing is ever written, and who asks for it is told so and may read on', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', 4 * mib]]);
  const before = await readFile(file);
  const server = await serve(t, file);
  const client = await raw(t, server);
  client.socket.write(handshake);
  const evil = Buffer.concat([
    request(1, 0, 200_000, 11),
    randomBytes(200_000),
    request(4, 0, mib, 12),
    request(6, 0, mib, 13),
    request(0, 0, 4096, 14),
  ]);
  client.socket.write(evil);
  const fourth = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 14]), u32(8 + 4096)]);
  while (!client.received().includes(fourth)) await sleep(5);
  for (const cookie of [11, 12, 13]) {
    const at = client.received().indexOf(Buffer.from([0x80, 1, 0, 0, 0, 0, 0, 0, 0, cookie]));
    assert.ok(at > 0, `an error for ${cookie}`);
    assert.equal(client.received().readUInt32BE(at + 14), 1, 'EPERM');
  }
  assert.deepEqual(await readFile(file), before);
});

test('requests that make no sense are refused one by one', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', 4 * mib]]);
  const client = await raw(t, await serve(t, file));
  client.socket.write(handshake);
  const wrong = [
    request(0, 4 * mib, 512, 1),
    request(0, 0, 0, 2),
    request(0, 2 ** 52, 2 ** 31, 3),
    request(0, 0, 2 ** 32 - 1, 4),
    request(7, 0, 4096, 5),
    request(99, 0, 4096, 6),
    request(3, 0, 0, 7),
  ];
  client.socket.write(Buffer.concat(wrong));
  for (let cookie = 1; cookie <= wrong.length; cookie += 1) {
    const chunk = Buffer.from([0x80, 1, 0, 0, 0, 0, 0, 0, 0, cookie]);
    while (!client.received().includes(chunk)) await sleep(5);
    assert.equal(client.received().readUInt32BE(client.received().indexOf(chunk) + 14), 22, `EINVAL for ${cookie}`);
  }
});

test('a device that becomes shorter is an error of its request alone', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', 8 * mib]]);
  const source = await connected(t, await serve(t, file));
  await truncate(file, 2 * mib);
  const failure = { type: 'SourceReadFailed', message: /at byte 5242880/ };
  await assert.rejects(source.read(5 * mib, new Uint8Array(mib)), failure);
  await source.read(0, new Uint8Array(mib));
  await truncate(file, 8 * mib);
  await source.read(5 * mib, new Uint8Array(mib));
});

const limits = { handshake: 300, stall: 300 };

test('who does not end its handshake is cut off', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', mib]]);
  const server = await serve(t, file, limits);
  for (const words of ['', handshake.subarray(0, 30), handshake.subarray(0, -1)]) {
    const { socket } = await raw(t, server);
    socket.write(words);
    await once(socket, 'close');
  }
});

test('who takes nothing of what it asks for is cut off, and keeps nobody from reading', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', 64 * mib]]);
  const server = await serve(t, file, limits);
  const source = await connected(t, server);
  for (let n = 0; n < 6; n += 1) {
    const { socket } = await raw(t, server);
    socket.pause();
    socket.write(handshake);
    for (let cookie = 0; cookie < 64; cookie += 1) socket.write(request(0, cookie * mib, mib, cookie));
  }
  await source.read(40 * mib, new Uint8Array(mib));
  while (server.clients() > 1) await sleep(20);
  await source.read(0, new Uint8Array(mib));
});

test('who is only silent is not cut off', async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, [['data', mib]]);
  const source = await connected(t, await serve(t, file, limits));
  await sleep(3 * limits.stall);
  await source.read(0, new Uint8Array(mib));
});

/** Xorshift: the same attacks for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** FERRY_FUZZ_SECONDS and FERRY_FUZZ_SEED: for longer, and for others. */
const fuzzMs = Number(process.env['FERRY_FUZZ_SECONDS'] ?? 8) * 1000;
const seed = Number(process.env['FERRY_FUZZ_SEED'] ?? 20);

test(`garbage, half requests and floods hurt nobody but who sends them (seed ${seed})`, async (t) => {
  const file = path.join(await scratchFolder(t), 'from');
  await writeVolume(file, mixture);
  await truncate(file, 160 * mib);
  const bytes = await readFile(file);
  const server = await serve(t, file);
  const below = random(seed);
  const junk = (length: number) => Buffer.from(Array.from({ length }, () => below(256)));
  const damaged = (good: Buffer) => {
    const bad = Buffer.from(good);
    for (let n = below(4); n >= 0; n -= 1) bad[below(bad.length)] = below(256);
    return bad.subarray(0, 1 + below(bad.length));
  };
  const anyRequest = () =>
    request(below(9), below(bytes.length + mib), below(3) === 0 ? below(2 ** 31) : below(mib), below(99));
  const attacks: (() => Buffer)[] = [
    () => junk(1 + below(2000)),
    () => damaged(handshake),
    () => Buffer.concat([handshake, junk(1 + below(200))]),
    () => Buffer.concat([handshake, anyRequest().subarray(0, 1 + below(27))]),
    () => Buffer.concat([handshake, ...Array.from({ length: 1 + below(20) }, anyRequest)]),
    () => Buffer.concat([handshake, damaged(Buffer.concat([anyRequest(), anyRequest()]))]),
    () =>
      Buffer.concat([
        handshake,
        ...Array.from({ length: 5000 }, () => request(below(9), below(bytes.length), 1 + below(8192))),
      ]),
    () =>
      Buffer.concat([
        u32(3),
        option(below(12), junk(below(60))),
        option(10, junk(below(60))),
        option(7, junk(below(60))),
      ]),
    () => Buffer.concat([u32(3), ...Array.from({ length: 200 }, () => option(3))]),
  ];
  const source = await connected(t, server);
  const block = Buffer.alloc(mib);
  const deadline = performance.now() + fuzzMs;
  let rounds = 0;
  const attackers = Array.from({ length: 4 }, async () => {
    while (performance.now() < deadline) {
      const { socket } = await raw(t, server);
      if (below(3) === 0) socket.pause();
      const attack = attacks[below(attacks.length)]!();
      socket.write(attack);
      await Promise.race([sleep(below(30)), once(socket, 'close').catch(() => undefined)]);
      if (below(2) === 0) socket.resetAndDestroy();
      else socket.destroy();
      rounds += 1;
    }
  });
  while (performance.now() < deadline) {
    const at = below(bytes.length / mib) * mib;
    await source.read(at, block);
    assert.ok(block.equals(bytes.subarray(at, at + mib)), `the block at ${at} is another`);
  }
  await Promise.all(attackers);
  assert.ok(rounds > 20, `only ${rounds} attacks`);
  while (server.clients() > 1) await sleep(10);
  // No buffer was lost on the way: all of it can be read at once.
  const all = Buffer.alloc(bytes.length);
  await Promise.all(
    Array.from({ length: bytes.length / mib }, (_, n) => source.read(n * mib, all.subarray(n * mib, (n + 1) * mib))),
  );
  assert.ok(all.equals(bytes));
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import type { FerryError } from '../../../../model/errors.ts';
import { copy } from '../../../../activities/storage/copier/copy.ts';
import { cleanUp } from './cleanup.ts';
import { copier, copyJob, undisturbed } from './jobs.ts';
import { freePort, nbdkit, qemuNbd } from './source-server.ts';
import { loopDevice, mib, scratchFolder, smallFileSystem, writeVolume } from './volumes.ts';

async function prepare(t: TestContext, sizeBytes = 96 * mib) {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  await writeVolume(from, [['data', sizeBytes]]);
  await writeVolume(to, [['hole', sizeBytes]]);
  return { from, to, sizeBytes };
}

test('an unreadable sector of the source fails the copy with the place of the request', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const sector = (70 * mib) / 512 + 3;
  const imageOptions = [
    'driver=raw',
    'file.driver=blkdebug',
    'file.image.driver=file',
    `file.image.filename=${from}`,
    'file.inject-error.0.event=none',
    'file.inject-error.0.iotype=read',
    'file.inject-error.0.errno=5',
    `file.inject-error.0.sector=${sector}`,
  ].join(',');
  const { address } = await qemuNbd(t, from, { imageOptions });
  await assert.rejects(copier(t).run(copyJob(address, to, sizeBytes), undisturbed), (error: FerryError) => {
    assert.equal(error.type, 'SourceReadFailed');
    assert.equal(error.details['offset'], 70 * mib);
    assert.match(error.message, /byte 73400320/);
    return true;
  });
});

test('a source that gives errors for everything fails at its first byte', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, 4 * mib);
  const { address } = await nbdkit(t, from, ['error'], ['error-pread=EIO', 'error-pread-rate=100%']);
  const job = copyJob(address, to, sizeBytes);
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'SourceReadFailed' });
});

test('a server that dies in the middle is a source that cannot be reached', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const server = await qemuNbd(t, from);
  const job = copyJob(server.address, to, sizeBytes, { bandwidth: 16 * mib });
  const run = copier(t).run(job, { ...undisturbed, onProgress: () => server.kill('SIGKILL') });
  await assert.rejects(run, { type: 'SourceUnreachable', message: /closed the connection|connection (reset|lost)/ });
});

test('a server that falls silent in the middle is given up', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const server = await qemuNbd(t, from);
  const job = copyJob(server.address, to, sizeBytes, { bandwidth: 32 * mib });
  const options = {
    ...undisturbed,
    limits: { connect: 10_000, silence: 500 },
    onProgress: () => server.kill('SIGSTOP'),
  };
  await assert.rejects(copy(job, options), { type: 'SourceUnreachable', message: /not a byte for 0.5 seconds/ });
});

test('a server that accepts but never greets is given up', async (t) => {
  const { to, sizeBytes } = await prepare(t, 4 * mib);
  const port = await listen(t, () => undefined);
  const job = copyJob({ host: '127.0.0.1', port, exportName: 'volume', tls: false }, to, sizeBytes);
  await assert.rejects(copy(job, { ...undisturbed, limits: { connect: 300, silence: 30_000 } }), {
    type: 'SourceUnreachable',
    message: /no answer within/,
  });
});

test('no server at all is a source that cannot be reached', async (t) => {
  const { to, sizeBytes } = await prepare(t, 4 * mib);
  const job = copyJob({ host: '127.0.0.1', port: await freePort(), exportName: 'volume', tls: false }, to, sizeBytes);
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'SourceUnreachable', message: /connection refused/ });
});

test('an export that is not there is told by its name', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, 4 * mib);
  const { address } = await qemuNbd(t, from);
  const job = copyJob({ ...address, exportName: 'another' }, to, sizeBytes);
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'SourceUnreachable', message: /export another/ });
});

test('a destination device that takes no more fails the copy, at an offset', async (t) => {
  const { from, sizeBytes } = await prepare(t);
  const small = await smallFileSystem(t, 48 * mib);
  const backing = path.join(small, 'backing');
  await writeVolume(backing, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const device = await loopDevice(t, backing);
  const run = copier(t).run(copyJob(address, device, sizeBytes), undisturbed);
  await assert.rejects(
    run,
    (error: FerryError) => error.type === 'InsufficientSpace' && typeof error.details['offset'] === 'number',
  );
});

test('a file whose file system is full fails the copy, at an offset', async (t) => {
  const { from, sizeBytes } = await prepare(t);
  const to = path.join(await smallFileSystem(t, 48 * mib), 'to');
  await writeVolume(to, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  await assert.rejects(copier(t).run(copyJob(address, to, sizeBytes), undisturbed), {
    type: 'InsufficientSpace',
    message: /no space left/,
  });
});

test('whatever a server says instead of NBD, over a real connection, is an error of the source and never a hang', async (t) => {
  const { to, sizeBytes } = await prepare(t, mib);
  let answer = new Uint8Array(0);
  const port = await listen(t, (socket) => socket.end(answer));
  const job = copyJob({ host: '127.0.0.1', port, exportName: 'volume', tls: false }, to, sizeBytes);
  const greeting = Buffer.from('NBDMAGICIHAVEOPT\0\x03');
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 300 }), async (greets, garbage) => {
      answer = greets ? Buffer.concat([greeting, garbage]) : garbage;
      await assert.rejects(copy(job, undisturbed), { type: 'SourceUnreachable' });
    }),
    { numRuns: 100 },
  );
});

async function listen(t: TestContext, onConnection: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    onConnection(socket);
  });
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as net.AddressInfo).port;
}

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { makeCertificates } from '../../../../testbed/certificates.ts';
import { cleanUp } from './cleanup.ts';
import { copier, copyJob, digestJob, undisturbed } from './jobs.ts';
import { qemuNbd } from './source-server.ts';
import { assertSame, mib, mixture, scratchFolder, writeVolume } from './volumes.ts';

async function prepare(t: TestContext, addresses?: string[]) {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [['hole', sizeBytes]]);
  const { directory, client } = await makeCertificates(path.join(folder, 'tls'), addresses);
  return { folder, from, to, sizeBytes, directory, client };
}

test('a volume arrives whole over TLS with both sides verified', async (t) => {
  const { from, to, sizeBytes, directory, client } = await prepare(t);
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const c = copier(t);
  const { checkpoint, finished } = await c.run(copyJob(address, to, sizeBytes, { tls: client }), undisturbed);
  assert.equal(finished, true);
  await assertSame(from, to);
  const digested = await c.run(digestJob(to, sizeBytes), undisturbed);
  assert.equal(digested.checkpoint.chain, checkpoint.chain);
});

test('a copy over TLS can be stopped', { timeout: 20_000 }, async (t) => {
  const { from, to, sizeBytes, directory, client } = await prepare(t);
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const controller = new AbortController();
  const job = copyJob(address, to, sizeBytes, { tls: client, bandwidth: 4 * mib });
  const { finished } = await copier(t).run(job, { signal: controller.signal, onProgress: () => controller.abort() });
  assert.equal(finished, false);
});

test('a server of another authority is not trusted', async (t) => {
  const { folder, from, to, sizeBytes, directory } = await prepare(t);
  const { client } = await makeCertificates(path.join(folder, 'stranger'));
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const run = copier(t).run(copyJob(address, to, sizeBytes, { tls: client }), undisturbed);
  await assert.rejects(run, { type: 'SourceUnreachable', message: /certificate|closed/ });
});

test('a server with a certificate of another host is not trusted', async (t) => {
  const { from, to, sizeBytes, directory, client } = await prepare(t, ['192.0.2.1']);
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const run = copier(t).run(copyJob(address, to, sizeBytes, { tls: client }), undisturbed);
  await assert.rejects(run, { type: 'SourceUnreachable', message: /not in the cert's list/ });
});

test('a client that the server does not know gets nothing', async (t) => {
  const { folder, from, to, sizeBytes, directory, client } = await prepare(t);
  const stranger = await makeCertificates(path.join(folder, 'stranger'));
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const tls = { ...stranger.client, ca: client.ca };
  await assert.rejects(copier(t).run(copyJob(address, to, sizeBytes, { tls }), undisturbed), {
    type: 'SourceUnreachable',
  });
});

test('one side with TLS and the other without is refused, in either direction', async (t) => {
  const { from, to, sizeBytes, directory, client } = await prepare(t);
  const secure = await qemuNbd(t, from, { tlsDirectory: directory });
  const plain = await qemuNbd(t, from);
  const c = copier(t);
  const clear = copyJob({ ...secure.address, tls: false }, to, sizeBytes);
  await assert.rejects(c.run(clear, undisturbed), { type: 'SourceUnreachable', message: /TLS/ });
  const upgraded = copyJob({ ...plain.address, tls: true }, to, sizeBytes, { tls: client });
  await assert.rejects(c.run(upgraded, undisturbed), { type: 'SourceUnreachable', message: /refuses TLS/ });
  const without = copyJob(secure.address, to, sizeBytes);
  await assert.rejects(c.run(without, undisturbed), { type: 'InvalidInput', message: /without certificates/ });
});

test('bytes slipped in before TLS begins are not taken for the server’s', async (t) => {
  const { to, sizeBytes, client } = await prepare(t);
  const yes = Buffer.from('0003e889045565a9000000050000000100000000', 'hex');
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('NBDMAGICIHAVEOPT\0\x03');
    socket.once('data', () => socket.write(Buffer.concat([yes, Buffer.from('injected')])));
  });
  cleanUp(t, () => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as net.AddressInfo;
  const job = copyJob({ host: '127.0.0.1', port, exportName: 'volume', tls: true }, to, sizeBytes, { tls: client });
  await assert.rejects(copier(t).run(job, undisturbed), {
    type: 'SourceUnreachable',
    message: /before the start of TLS/,
  });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { cutConnections } from './cut-connections.ts';

async function connection(): Promise<{ port: number; ends: [Socket, Socket]; close: () => void }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [[accepted], client] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    (async () => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    })(),
  ]);
  const ends: [Socket, Socket] = [client, accepted];
  const close = () => {
    for (const end of ends) end.destroy();
    server.close();
  };
  return { port, ends, close };
}

test('connections to a port are cut at both ends, others are not', async () => {
  const [cut, other] = [await connection(), await connection()];
  const errors = cut.ends.map((end) => once(end.resume(), 'error') as Promise<[NodeJS.ErrnoException]>);
  await cutConnections(cut.port);
  const codes = (await Promise.all(errors)).map(([{ code }]) => code);
  assert.deepEqual(codes, ['ECONNRESET', 'ECONNABORTED']);
  const [client, accepted] = other.ends;
  client.write('still there');
  const [data] = (await once(accepted, 'data')) as [Buffer];
  assert.equal(data.toString(), 'still there');
  for (const { close } of [cut, other]) close();
});

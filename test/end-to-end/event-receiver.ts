import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a receiver finds in the envelope: of Ferry's form the first fields, of Cinder's the others. */
export interface SeenData {
  error: object | null;
  volume: { id: string; name: string | null; status: string; host: string; sizeBytes: number };
  migration: { id: string; source: string; destination: string; proof: string | null };
  plan: { id: string; volumes: object };
  snapshots: { id: string }[];
  attachments: { id: string; instanceId: string; device: string | null }[];
  event_type: string;
  publisher_id: string;
  priority: string;
  timestamp: string;
  payload: Record<string, unknown>;
}

/** An event as it came. */
export interface Received {
  id: string;
  type: string;
  subject: string;
  sequence: string;
  data: SeenData;
}

/** What webhooks point to: takes every event, or answers what it is told to. */
export interface EventReceiver extends AsyncDisposable {
  /** What it took, in the order in which it came; what it refused is not here. */
  readonly received: Received[];
  /** What it refused. */
  readonly refused: Received[];
  /** The status of the next answers; then 204. */
  answers: number[];
  /** As long as it is true, it answers 503. */
  isDown: boolean;
  /** A webhook of that name, as the configuration wants it. */
  webhook(name: string, change?: object): Promise<object>;
}

/** Starts one on loopback. */
export async function startReceiver(): Promise<EventReceiver> {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  const server = createServer(async (request, response) => {
    request.setEncoding('utf8');
    const event = JSON.parse((await request.toArray()).join('')) as Received;
    const status = receiver.isDown ? 503 : (receiver.answers.shift() ?? 204);
    (status < 300 ? receiver.received : receiver.refused).push(event);
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: EventReceiver = {
    received: [],
    refused: [],
    answers: [],
    isDown: false,
    async webhook(name, change = {}) {
      const secretFile = join(folder, name);
      await writeFile(secretFile, `the key of ${name}, which is long enough`, { mode: 0o600 });
      return { name, url: `http://127.0.0.1:${port}/${name}`, secretFile, ...change };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
  return receiver;
}

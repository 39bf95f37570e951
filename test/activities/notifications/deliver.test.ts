import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createNotificationActivities } from '../../../activities/notifications/create-notification-activities.ts';
import { signedHeaders } from '../../../activities/notifications/sign.ts';
import { createRegistryActivities } from '../../../activities/registry/create-registry-activities.ts';
import { configuration } from '../../../configuration/schema.ts';
import { secondsToNextTry } from '../../../model/event.ts';
import { gib } from '../../../model/sizes.ts';
import { announceWebhook, listDeliveries } from '../../../registry/events.ts';
import { makeCertificates } from '../../../testbed/certificates.ts';
import { testRegistry } from '../../registry/database.ts';
import { anOwner, putBackEnd, putVolume, source } from '../../registry/world.ts';

const key = 'a key that nobody can guess, of this test';
const hook = 'billing';

interface Received {
  headers: IncomingMessage['headers'];
  body: string;
}

let folder: string;
let receiver: Server;
let url: string;
let registry: Awaited<ReturnType<typeof testRegistry>>;
const received: Received[] = [];
/** What the receiver does with the next requests. */
let answer: (response: ServerResponse) => void;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  await makeCertificates(folder);
  const pem = (name: string) => readFileSync(join(folder, `${name}.pem`));
  receiver = createServer({ key: pem('server-key'), cert: pem('server-cert') }, async (request, response) => {
    request.setEncoding('utf8');
    received.push({ headers: request.headers, body: (await request.toArray()).join('') });
    answer(response);
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(receiver.address() as AddressInfo).port}/events`;
  await writeFile(join(folder, 'key'), key, { mode: 0o600 });
  registry = await testRegistry();
  await putBackEnd(registry, source, { freeBytes: 5000 * gib });
});

after(async () => {
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  received.length = 0;
  answer = (response) => response.writeHead(204).end();
  await announceWebhook(registry, { name: hook, kinds: null });
});

const activities = (change: Record<string, unknown> = {}) => {
  const webhook = { name: hook, url, secretFile: join(folder, 'key'), caFile: join(folder, 'ca-cert.pem'), ...change };
  return createNotificationActivities({ registry, webhooks: configuration.parse({ webhooks: [webhook] }).webhooks });
};

/** Something happens; its delivery. */
async function happen(): Promise<{ webhook: string; sequence: number }> {
  const steps = createRegistryActivities({ registry });
  const extend = { volumeId: await putVolume(registry), owner: anOwner('extend'), sizeBytes: 2 * gib };
  await steps.beginExtend(extend);
  await steps.finishExtend(extend);
  const [last] = await listDeliveries(registry, { webhook: hook, limit: 1 });
  return { webhook: hook, sequence: last!.sequence };
}

const standing = async (sequence: number) =>
  (await listDeliveries(registry, { limit: 1000 })).find((each) => each.sequence === sequence)!;

/** How long after now the next try is due, seconds. */
const dueIn = async (sequence: number) => ((await standing(sequence)).dueAt.getTime() - Date.now()) / 1000;

test('an event is signed as Standard Webhooks says, by its own example', () => {
  const secret = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', atSeconds: 1_614_265_330, body: '{"test": 2432232314}' };
  assert.deepEqual(signedHeaders([secret], message), {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('tries are made later and later, and not before the receiver wants them', () => {
  assert.deepEqual(
    [1, 2, 3, 8, 9, 1000].map((tries) => secondsToNextTry(tries, null)),
    [5, 10, 20, 640, 900, 900],
  );
  assert.equal(secondsToNextTry(1, 60), 60);
  assert.equal(secondsToNextTry(9, 60), 900);
  assert.equal(secondsToNextTry(1, 1e12), 3600);
});

describe('a try', () => {
  test('posts the event, signed with each key, and is not made again when it was taken', async () => {
    await writeFile(join(folder, 'key'), `${key}\nwhsec_${Buffer.alloc(32, 7).toString('base64')}\n`);
    const at = await happen();
    assert.deepEqual(await activities().dueEvents({ webhook: hook, limit: 10 }), [at.sequence]);
    assert.equal(await activities().deliverEvent(at), 'delivered');
    assert.equal(await activities().deliverEvent(at), 'delivered');
    const [{ headers, body }, ...more] = received as [Received];
    assert.deepEqual(more, []);
    const { id, type, data } = JSON.parse(body) as {
      id: string;
      type: string;
      data: { volume: { sizeBytes: number } };
    };
    assert.deepEqual([type, data.volume.sizeBytes], ['ferry.volume.extend.success', 2 * gib]);
    assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
    const atSeconds = Number(headers['webhook-timestamp']);
    assert.ok(Math.abs(atSeconds - Date.now() / 1000) < 60);
    const keys = [Buffer.from(key), Buffer.alloc(32, 7)];
    assert.equal(headers['webhook-signature'], signedHeaders(keys, { id, atSeconds, body })['webhook-signature']);
    assert.equal(headers['webhook-id'], id);
  });

  test('that is refused is made again, with the same event, not sooner than the receiver asks', async () => {
    answer = (response) => response.writeHead(503, { 'retry-after': '120' }).end('in a minute');
    const at = await happen();
    assert.equal(await activities().deliverEvent(at), 'waiting');
    assert.equal((await standing(at.sequence)).problem, 'it answered 503: in a minute');
    assert.ok((await dueIn(at.sequence)) > 100);
    answer = (response) => response.writeHead(200).end('thanks');
    assert.equal(await activities().deliverEvent(at), 'delivered');
    assert.equal(received[0]!.body, received[1]!.body);
  });

  for (const status of [400, 410, 413, 422])
    test(`that is answered ${status} was the last`, async () => {
      answer = (response) => response.writeHead(status).end('no\0use'.repeat(1000));
      const at = await happen();
      assert.equal(await activities().deliverEvent(at), 'dead');
      const { problem } = await standing(at.sequence);
      assert.match(problem!, new RegExp(`^it answered ${status}: nouse`));
      assert.ok(problem!.length < 400);
    });

  const taken: Record<string, (response: ServerResponse) => void> = {
    'whose answer breaks off': (response) => {
      response.writeHead(200, { 'content-length': 10 }).write('abc');
      setTimeout(() => response.destroy(), 100);
    },
    'whose answer does not end': (response) => response.writeHead(202).write('abc'),
  };
  for (const [name, behaves] of Object.entries(taken))
    test(`that is taken is taken, also by one ${name}`, async () => {
      answer = behaves;
      assert.equal(await activities().deliverEvent(await happen()), 'delivered');
    });

  test('that was refused tells what was said, also when that breaks off', async () => {
    answer = (response) => {
      response.writeHead(500, { 'content-length': 10 }).write('abc');
      setTimeout(() => response.destroy(), 100);
    };
    const at = await happen();
    assert.equal(await activities().deliverEvent(at), 'waiting');
    assert.equal((await standing(at.sequence)).problem, 'it answered 500: abc');
  });

  test('follows nobody to another place', async () => {
    answer = (response) => response.writeHead(307, { location: url }).end();
    const at = await happen();
    assert.equal(await activities().deliverEvent(at), 'waiting');
    assert.equal(received.length, 1);
  });

  const problems: { name: string; prepare: () => Promise<Record<string, unknown>>; problem: RegExp }[] = [
    {
      name: 'a certificate that nobody vouches for',
      prepare: async () => ({ caFile: undefined }),
      problem: /self-signed|verify/,
    },
    {
      name: 'a receiver that is not there',
      prepare: async () => {
        const other = createHttp();
        await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
        const { port } = other.address() as AddressInfo;
        await new Promise((resolve) => other.close(resolve));
        return { url: `http://127.0.0.1:${port}` };
      },
      problem: /ECONNREFUSED/,
    },
    {
      name: 'no file with a key',
      prepare: async () => ({ secretFile: join(folder, 'none') }),
      problem: /ENOENT.*none/,
    },
    {
      name: 'a key that everybody can read',
      prepare: async () => {
        await writeFile(join(folder, 'open'), key);
        await chmod(join(folder, 'open'), 0o644);
        return { secretFile: join(folder, 'open') };
      },
      problem: /everybody on this machine can read .*chmod o=/,
    },
    {
      name: 'a key that can be guessed',
      prepare: async () => {
        await writeFile(join(folder, 'short'), 'secret', { mode: 0o600 });
        return { secretFile: join(folder, 'short') };
      },
      problem: /too short.*openssl rand/,
    },
    {
      name: 'one who speaks something else than HTTP from then on',
      prepare: async () => {
        answer = ({ socket }) =>
          socket!.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n');
        return {};
      },
      problem: /it answered 101/,
    },
    {
      name: 'a connection that ends without an answer',
      prepare: async () => {
        answer = ({ socket }) => socket!.destroy();
        return {};
      },
      problem: /socket hang up|closed the connection/,
    },
    {
      name: 'an answer that does not come',
      prepare: async () => {
        answer = () => {};
        return {};
      },
      problem: /no answer within 10 s/,
    },
  ];
  for (const { name, prepare, problem } of problems)
    test(`with ${name} waits, and tells why`, async () => {
      const change = await prepare();
      const at = await happen();
      assert.equal(await activities(change).deliverEvent(at), 'waiting');
      assert.match((await standing(at.sequence)).problem!, problem);
    });

  test('of a webhook that this worker does not have is not made', async () => {
    const at = await happen();
    const none = createNotificationActivities({ registry, webhooks: [] });
    assert.deepEqual(await none.dueEvents({ webhook: hook, limit: 10 }), []);
    assert.equal(await none.deliverEvent(at), 'waiting');
    assert.equal((await standing(at.sequence)).tries, 0);
  });
});

describe('a configuration is refused', () => {
  const wrong: Record<string, Record<string, unknown>> = {
    'that sends names in the clear': { url: 'http://billing.example.org/events' },
    'with a password in the address': { url: 'https://ferry:secret@billing.example.org/events' },
    'with a kind that there is not': { kinds: ['explode'] },
    'with a key in the file': { secret: key },
  };
  for (const [name, change] of Object.entries(wrong))
    test(name, () => {
      const webhook = { name: hook, url: 'https://billing.example.org/events', secretFile: '/etc/ferry/billing.key' };
      assert.ok(configuration.safeParse({ webhooks: [webhook] }).success);
      assert.ok(!configuration.safeParse({ webhooks: [{ ...webhook, ...change }] }).success);
    });
  test('with two webhooks of one name', () => {
    const webhook = { name: hook, url: 'https://billing.example.org/events', secretFile: '/etc/ferry/billing.key' };
    assert.ok(!configuration.safeParse({ webhooks: [webhook, webhook] }).success);
  });
});

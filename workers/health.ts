import { createServer, type ServerResponse } from 'node:http';
import { type Listening, listenAt } from '../configuration/listen-at.ts';

/** A question takes no longer, or its part is not well. Milliseconds. */
const answerMs = 5_000;

/**
 * Serves two questions at `address` (host:port). `/healthz`: does the process answer at all; if not, start it again. `/readyz`: can it do its
 * work now; if not, 503 and every reason: another start would not help. `InvalidInput` when the address cannot be had.
 */
export async function serveHealth(address: string, whyNotReady: () => Promise<readonly string[]>): Promise<Listening> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, { status: 'not allowed' });
    if (path === '/healthz') return answer(response, 200, { status: 'ok' });
    if (path !== '/readyz') return answer(response, 404, { status: 'not found' });
    void reasons(whyNotReady).then((why) =>
      answer(response, why.length ? 503 : 200, { status: why.length ? 'not ready' : 'ready', why }),
    );
  });
  server.requestTimeout = answerMs;
  const listening = await listenAt(server, 'healthAddress', address);
  // It alone is no reason for the process to stay.
  server.unref();
  return listening;
}

async function reasons(whyNotReady: () => Promise<readonly string[]>): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<readonly string[]>((resolve) => {
    timer = setTimeout(() => resolve([`it does not know within ${answerMs / 1000} s`]), answerMs);
  });
  try {
    return await Promise.race([whyNotReady(), silence]);
  } catch (error) {
    return [(error as Error).message];
  } finally {
    clearTimeout(timer);
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}

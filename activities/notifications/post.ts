import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

/** What a receiver answered. */
export interface Answer {
  status: number;
  /** It has it: 2xx. */
  isTaken: boolean;
  /** When it wants to be asked again; null when it does not say. */
  retryAfterSeconds: number | null;
  /** Of what it said when it did not take it, the beginning. */
  words: string;
}

/** Of an answer that tells why, people want to read so much. */
const mostWords = 300;

/**
 * Sends a body, on a connection of its own. Redirections are an answer like others: whoever may redirect must not choose who gets what was
 * signed. Throws when there is no answer in time, or the receiver's certificate is of nobody who is trusted; whatever the receiver does, it ends
 * in time. `ca`: who is trusted instead of those whom the system trusts, PEM.
 */
export async function post(
  to: { url: string; ca: string | null; timeoutMs: number },
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  const url = new URL(to.url);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'POST',
    agent: false,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    ...(to.ca === null ? {} : { ca: to.ca }),
  });
  // Not the request's own signal: that is not heard any more once a connection is something else than HTTP.
  const late = setTimeout(() => sent.destroy(new Error(`no answer within ${to.timeoutMs / 1000} s`)), to.timeoutMs);
  let isAnswered = false;
  sent.on('response', (response) => {
    isAnswered = true;
    void answerOf(response).then(resolve, reject);
  });
  sent.on('upgrade', (response, socket) => {
    socket.destroy();
    resolve({ status: response.statusCode ?? 0, isTaken: false, retryAfterSeconds: null, words: '' });
  });
  sent.on('error', reject);
  sent.on('close', () => isAnswered || reject(new Error('it closed the connection without an answer')));
  sent.end(body);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    sent.destroy();
  }
}

/** What was taken is taken, however its answer ends. Of all else the words are read, as far as they come. */
async function answerOf(response: IncomingMessage): Promise<Answer> {
  const status = response.statusCode ?? 0;
  const isTaken = status >= 200 && status < 300;
  const after = Number(response.headers['retry-after'] ?? Number.NaN);
  const retryAfterSeconds = Number.isFinite(after) && after >= 0 ? after : null;
  let words = '';
  if (!isTaken) {
    response.setEncoding('utf8');
    try {
      for await (const part of response) {
        words += String(part);
        if (words.length >= mostWords) break;
      }
    } catch {
      // It broke off: what was said until then is what there is.
    }
  }
  return { status, isTaken, retryAfterSeconds, words: words.slice(0, mostWords) };
}

import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** What a receiver answered. */
export interface Answer {
  status: number;
  /** When it wants to be asked again; null when it does not say. */
  retryAfterSeconds: number | null;
  /** The beginning of what it said. */
  words: string;
}

/** Of an answer that tells why, people want to read so much. */
const mostWords = 300;

/**
 * Sends a body, on a connection of its own. Redirections are an answer like others: whoever may redirect must not choose who gets what was
 * signed. Throws when there is no answer in time, or the receiver's certificate is of nobody who is trusted. `ca`: who is trusted instead of
 * those whom the system trusts, PEM.
 */
export async function post(
  to: { url: string; ca: string | null; timeoutMs: number },
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  const url = new URL(to.url);
  const signal = AbortSignal.timeout(to.timeoutMs);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const options = {
    method: 'POST',
    agent: false,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    signal,
    ...(to.ca === null ? {} : { ca: to.ca }),
  } as const;
  const sent = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (response) => {
    let words = '';
    response.setEncoding('utf8');
    const end = () => {
      const after = Number(response.headers['retry-after'] ?? Number.NaN);
      resolve({
        status: response.statusCode ?? 0,
        retryAfterSeconds: Number.isFinite(after) && after >= 0 ? after : null,
        words: words.slice(0, mostWords),
      });
      response.destroy();
    };
    response.on('data', (part: string) => {
      words += part;
      if (words.length >= mostWords) end();
    });
    response.on('end', end);
    response.on('error', reject);
  });
  sent.on('error', reject);
  sent.end(body);
  try {
    return await promise;
  } catch (error) {
    throw signal.aborted ? new Error(`no answer within ${to.timeoutMs / 1000} s`) : error;
  }
}

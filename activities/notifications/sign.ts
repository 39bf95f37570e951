import { createHmac } from 'node:crypto';
import { open } from 'node:fs/promises';

/** A key that can be guessed signs nothing. Bytes; Standard Webhooks asks for so many. */
const shortestKey = 24;

/** What everybody on this machine may do with a file, as its mode says. */
const othersMayRead = 0o004;

/**
 * The keys in a file, one a line: two while the receiver changes from one to the other. A line is `whsec_` and the key in base64, as Standard
 * Webhooks writes keys, or it is the key. Throws, with words for an operator, where there is none, a short one, or everybody may read it.
 */
export async function readKeys(file: string): Promise<Buffer[]> {
  await using opened = await open(file);
  const { mode } = await opened.stat();
  if (mode & othersMayRead) throw new Error(`everybody on this machine can read ${file}. Mend it: chmod o= ${file}`);
  const lines = (await opened.readFile('utf8')).split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '').map(keyOf);
  if (keys.length === 0) throw new Error(`there is no key in ${file}`);
  if (keys.some((key) => key.length < shortestKey))
    throw new Error(
      `a key in ${file} is too short: it must have ${shortestKey} bytes. Make one: echo "whsec_$(openssl rand -base64 32)"`,
    );
  return keys;
}

const prefix = 'whsec_';

function keyOf(line: string): Buffer {
  return line.startsWith(prefix) ? Buffer.from(line.slice(prefix.length), 'base64') : Buffer.from(line);
}

/** The headers by which a receiver knows who sent this body, and when (https://www.standardwebhooks.com); a signature for each key. */
export function signedHeaders(
  keys: readonly Buffer[],
  message: { id: string; atSeconds: number; body: string },
): Record<string, string> {
  const { id, atSeconds, body } = message;
  const signatures = keys.map(
    (key) => `v1,${createHmac('sha256', key).update(`${id}.${atSeconds}.${body}`).digest('base64')}`,
  );
  return { 'webhook-id': id, 'webhook-timestamp': String(atSeconds), 'webhook-signature': signatures.join(' ') };
}

import { Fault } from './fault.ts';

/** A request's body may be so long; the largest that a client has a use for is far below. Bytes. */
const mostBytes = 1024 ** 2;

/** Of a body that is too long so much is read and thrown away: a client that still sends would not hear the answer. Bytes. */
const drainedBytes = 64 * mostBytes;

/** The body as text. Too long: 413. */
export async function textOf(request: Request): Promise<string> {
  if (!request.body) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.byteLength;
    if (bytes <= mostBytes) text += decoder.decode(chunk, { stream: true });
    else if (bytes > drainedBytes) break;
  }
  if (bytes > mostBytes) throw new Fault(413, `The request's body is larger than ${mostBytes} bytes.`);
  return text + decoder.decode();
}

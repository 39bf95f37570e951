import { readFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import { FerryError } from '../../../../model/errors.ts';
import type { TlsFiles } from '../../copy-job.ts';
import type { ExportAddress } from '../../exports.ts';
import { Filling, type Fills } from './filling.ts';
import { greet, negotiate, startTls } from './handshake.ts';
import { garbled, transmissionFlag, type ExportInfo } from './protocol.ts';
import { replies, type OnExtent, type Request } from './replies.ts';
import { encodeRequest } from './request.ts';

export interface NbdLimits {
  /** From the first packet to the end of the handshake. Milliseconds. */
  readonly connect: number;
  /** No byte for so long while something is asked for: a dead peer leaves TCP silent for many minutes. Milliseconds. */
  readonly silence: number;
}

export const usualLimits: NbdLimits = { connect: 10_000, silence: 30_000 };

/** An NBD export, open for reading. Everything rejects with a `FerryError` once the connection has failed. */
export interface NbdSource {
  readonly sizeBytes: number;
  /** Whether `extents` can be asked. */
  readonly tellsHoles: boolean;
  /**
   * Fills `target`; requests are answered in any order. Until it settles the buffer belongs to the connection. Answers how many of the bytes
   * came: the others are zeros that the server only told of.
   */
  read(offset: number, target: Uint8Array): Promise<number>;
  /** Tells what is at `offset`, perhaps not all of `length`. */
  extents(offset: number, length: number, onExtent: OnExtent): Promise<void>;
  /** Says good-bye if it can; what is in flight rejects. */
  close(): void;
}

export interface NbdOptions {
  readonly address: ExportAddress;
  readonly tls: TlsFiles | null;
  readonly limits?: NbdLimits;
  /** Aborting it ends the connection, whatever it is doing. */
  readonly signal: AbortSignal;
}

/** Connects and opens the export. */
export async function connectNbd({
  address,
  tls: files,
  limits = usualLimits,
  signal,
}: NbdOptions): Promise<NbdSource> {
  const credentials = address.tls ? await readCredentials(files) : null;
  signal.throwIfAborted();
  const connection = new Connection(address, credentials, limits);
  const abort = () => connection.fail(new FerryError('Cancelled', 'Reading from the source was stopped'));
  signal.addEventListener('abort', abort, { once: true });
  const deadline = setTimeout(
    () => connection.fail(unreachable(address, `no answer within ${limits.connect / 1000} seconds`)),
    limits.connect,
  );
  try {
    await connection.ready;
    return connection;
  } finally {
    clearTimeout(deadline);
  }
}

interface Credentials {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

async function readCredentials(files: TlsFiles | null): Promise<Credentials> {
  if (!files)
    throw new FerryError('InvalidInput', 'The source asks for TLS, but this node is configured without certificates');
  try {
    const [ca, cert, key] = await Promise.all([readFile(files.ca), readFile(files.cert), readFile(files.key)]);
    return { ca, cert, key };
  } catch (error) {
    throw new FerryError(
      'InvalidInput',
      `The certificates for TLS cannot be read: ${(error as Error).message}`,
      {},
      { cause: error },
    );
  }
}

const causes: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection lost',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to the host',
  ENOTFOUND: 'no such host',
};

function unreachable({ host, port, exportName }: ExportAddress, why: string, cause?: unknown): FerryError {
  const message = `The source's export ${exportName} at ${host}:${port} cannot be reached: ${why}`;
  return new FerryError('SourceUnreachable', message, { host, port, exportName }, { cause });
}

class Connection implements NbdSource {
  readonly ready: Promise<void>;
  readonly #address: ExportAddress;
  readonly #limits: NbdLimits;
  readonly #pending = new Map<number, Request>();
  readonly #watch: NodeJS.Timeout;
  #socket: net.Socket;
  #info: ExportInfo = { sizeBytes: 0, flags: 0, allocationContext: null };
  #settleReady: (error: Error | null) => void = () => undefined;
  #failure: Error | null = null;
  #nextCookie = 1;
  #lastByteAt = performance.now();

  constructor(address: ExportAddress, credentials: Credentials | null, limits: NbdLimits) {
    this.#address = address;
    this.#limits = limits;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => (error ? reject(error) : resolve());
    });
    this.#socket = credentials ? this.#connectSecurely(credentials) : this.#connectPlainly();
    this.#watch = setInterval(() => this.#checkSilence(), Math.min(1000, limits.silence / 4));
  }

  get sizeBytes(): number {
    return this.#info.sizeBytes;
  }

  get tellsHoles(): boolean {
    return this.#info.allocationContext !== null;
  }

  read(offset: number, target: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null, came = 0) => (error ? reject(error) : resolve(came));
      this.#ask('read', { kind: 'read', offset, length: target.length, target, settle });
    });
  }

  extents(offset: number, length: number, onExtent: OnExtent): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null) => (error ? reject(error) : resolve());
      const context = this.#info.allocationContext ?? 0;
      this.#ask('blockStatus', { kind: 'status', offset, length, context, onExtent, settle });
    });
  }

  close(): void {
    if (this.#failure) return;
    const polite = this.#pending.size === 0;
    if (polite) this.#socket.end(encodeRequest('disconnect', 0, 0, 0));
    this.#finish(new FerryError('Cancelled', 'The connection to the source was closed'), polite);
  }

  fail(error: Error): void {
    if (!this.#failure) this.#finish(error, false);
  }

  #finish(error: Error, polite: boolean): void {
    this.#failure = error;
    clearInterval(this.#watch);
    if (polite) this.#socket.destroySoon();
    else this.#socket.destroy();
    this.#settleReady(error);
    for (const request of this.#pending.values()) request.settle(error);
    this.#pending.clear();
  }

  #ask(kind: 'read' | 'blockStatus', request: Request): void {
    if (this.#failure) return request.settle(this.#failure);
    if (this.#pending.size === 0) this.#lastByteAt = performance.now();
    const cookie = this.#nextCookie;
    this.#nextCookie = cookie === 0xffff_ffff ? 1 : cookie + 1;
    this.#pending.set(cookie, request);
    const df = kind === 'read' && (this.#info.flags & transmissionFlag.sendDf) !== 0;
    this.#socket.write(encodeRequest(kind, cookie, request.offset, request.length, df));
  }

  #checkSilence(): void {
    if (this.#pending.size === 0 || performance.now() - this.#lastByteAt < this.#limits.silence) return;
    this.fail(unreachable(this.#address, `not a byte for ${this.#limits.silence / 1000} seconds`));
  }

  *#session(greeted: boolean): Fills<void> {
    const send = (bytes: Uint8Array) => void this.#socket.write(bytes);
    if (!greeted) yield* greet(send);
    this.#info = yield* negotiate(send, this.#address.exportName);
    this.#settleReady(null);
    yield* replies(this.#pending);
  }

  /** Whatever a parser throws ends the connection, and nothing else. */
  #guarded(step: () => void): boolean {
    this.#lastByteAt = performance.now();
    try {
      if (!this.#failure) step();
    } catch (error) {
      this.fail(error as Error);
    }
    return this.#failure === null;
  }

  #listen(socket: net.Socket): net.Socket {
    const lost = (why: string, cause?: unknown) => this.fail(unreachable(this.#address, why, cause));
    socket.on('error', (error: NodeJS.ErrnoException) => lost(causes[error.code ?? ''] ?? error.message, error));
    socket.on('end', () => lost('its server closed the connection'));
    socket.on('close', () => lost('its server closed the connection'));
    return socket;
  }

  #connectPlainly(): net.Socket {
    const filling = new Filling(this.#session(false));
    const scratch = new Uint8Array(64 * 1024);
    // The socket asks for a buffer before each read: the payload lands in the caller's without another copy of it.
    const onread = {
      buffer: () => (this.#failure ? scratch : filling.target),
      callback: (count: number) => this.#guarded(() => filling.advance(count)),
    };
    return this.#listen(net.connect({ ...this.#target(), onread }));
  }

  #connectSecurely(credentials: Credentials): net.Socket {
    const plain = this.#listen(net.connect(this.#target()));
    const send = (bytes: Uint8Array) => void plain.write(bytes);
    const filling = new Filling(
      (function* upgrade() {
        yield* greet(send);
        yield* startTls(send);
      })(),
    );
    const onData = (bytes: Buffer) =>
      this.#guarded(() => {
        const taken = filling.take(bytes);
        if (!filling.done) return;
        // What came in the clear must never be taken for what came by TLS.
        if (taken < bytes.length) throw garbled('bytes before the start of TLS');
        plain.off('data', onData);
        this.#socket = this.#secure(plain, credentials);
      });
    plain.on('data', onData);
    return plain;
  }

  #secure(plain: net.Socket, credentials: Credentials): net.Socket {
    const secure = tls.connect({ ...credentials, socket: plain, host: this.#address.host, minVersion: 'TLSv1.2' });
    secure.once('secureConnect', () => {
      const filling = new Filling(this.#session(true));
      secure.on('data', (bytes: Buffer) => this.#guarded(() => void filling.take(bytes)));
    });
    return this.#listen(secure);
  }

  #target(): net.TcpNetConnectOpts {
    return {
      host: this.#address.host,
      port: this.#address.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
    };
  }
}

import type net from 'node:net';
import { Filling, type Fills } from '../../copier/nbd/filling.ts';
import { clientFlags, greeting, haggle } from './handshake.ts';
import type { Served } from './served.ts';
import { answer, requests, type ClientRequest } from './transmission.ts';
import { Garbled, type Agreement } from './wire.ts';

export interface SessionLimits {
  /** From the connection to the choice of an export. Milliseconds. */
  readonly handshake: number;
  /** Who takes nothing of what it has asked for, for so long, is gone. Milliseconds. */
  readonly stall: number;
}

export const usualLimits: SessionLimits = { handshake: 10_000, stall: 60_000 };

/** Begins TLS on a connection, as its server; calls back only for a client whose certificate is good. */
export type StartTls = (plain: net.Socket, onSecure: (secure: net.Socket) => void) => void;

export interface SessionOptions {
  /** What can be read under which name. */
  readonly offered: ReadonlyMap<string, Served>;
  /** Given: TLS is demanded. Null: it is not offered. */
  readonly startTls: StartTls | null;
  readonly limits?: SessionLimits;
}

/** So many requests of a client are worked on at once; the others wait, and with them its socket. */
const mostAtOnce = 16;

/** Serves one client from its connection to its end. Whatever it says, nobody else is hurt. */
export function serveClient(socket: net.Socket, options: SessionOptions): void {
  new Session(socket, options).begin();
}

class Session {
  readonly #options: SessionOptions;
  readonly #limits: SessionLimits;
  readonly #deadline: NodeJS.Timeout;
  readonly #waiting: ClientRequest[] = [];
  #socket: net.Socket;
  #agreement: Agreement | null = null;
  #working = 0;
  #sending = 0;
  #leaving = false;

  constructor(socket: net.Socket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#limits = options.limits ?? usualLimits;
    this.#deadline = setTimeout(() => this.#socket.destroy(), this.#limits.handshake);
  }

  begin(): void {
    this.#follow(this.#options.startTls ? this.#inTheClear(this.#options.startTls) : this.#talk(null));
  }

  /** Feeds the steps with what the client sends, until they are done. */
  #follow(steps: Fills<(() => void) | null>): void {
    const socket = this.#socket;
    let next: (() => void) | null = null;
    const filling = new Filling(
      (function* remember() {
        next = yield* steps;
      })(),
    );
    const onData = (bytes: Buffer) => {
      try {
        const taken = filling.take(bytes);
        if (!filling.done) return;
        socket.off('data', onData);
        // What came in the clear must never be taken for what came by TLS.
        if (next && taken < bytes.length) throw new Garbled('bytes before the start of TLS');
        if (next) next();
        else this.#leave();
      } catch {
        socket.destroy();
      }
    };
    socket.on('data', onData);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => clearTimeout(this.#deadline));
  }

  *#inTheClear(startTls: StartTls): Fills<(() => void) | null> {
    const plain = this.#socket;
    const send = (bytes: Uint8Array) => void plain.write(bytes);
    send(greeting);
    const flags = yield* clientFlags();
    const outcome = yield* haggle({ offered: this.#options.offered, needsTls: true, send }, flags);
    if (outcome !== 'tls') return null;
    return () =>
      startTls(plain, (secure) => {
        this.#socket = secure;
        this.#follow(this.#talk(flags));
      });
  }

  /** `flags`: of a client that was greeted before TLS. */
  *#talk(flags: { noZeroes: boolean } | null): Fills<null> {
    const send = (bytes: Uint8Array) => void this.#socket.write(bytes);
    if (!flags) send(greeting);
    const { offered } = this.#options;
    const agreement = yield* haggle({ offered, needsTls: false, send }, flags ?? (yield* clientFlags()));
    if (agreement === null || agreement === 'tls') return null;
    clearTimeout(this.#deadline);
    agreement.served.opened();
    this.#agreement = agreement;
    this.#socket.setTimeout(this.#limits.stall, () => this.#sending > 0 && this.#socket.destroy());
    yield* requests((request) => this.#take(request));
    return null;
  }

  #take(request: ClientRequest): void {
    this.#waiting.push(request);
    this.#work();
    if (this.#waiting.length > 0) this.#socket.pause();
  }

  #work(): void {
    const agreement = this.#agreement!;
    // Only chunks say to which request they belong.
    const most = agreement.structured ? mostAtOnce : 1;
    while (this.#working < most && this.#waiting.length > 0 && !this.#socket.destroyed) {
      this.#working += 1;
      answer(agreement, this.#waiting.shift()!, (parts) => this.#send(parts))
        .catch(() => this.#socket.destroy())
        .finally(() => {
          this.#working -= 1;
          this.#work();
          if (this.#waiting.length === 0) this.#socket.resume();
          if (this.#leaving) this.#leave();
        });
    }
  }

  /** Resolves when the parts are the kernel's. Rejects when they will never be. */
  #send(parts: readonly Uint8Array[]): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('the client is gone'));
      this.#sending += 1;
      socket.cork();
      parts.forEach((part, i) => {
        if (i < parts.length - 1) return socket.write(part);
        socket.write(part, (error) => {
          this.#sending -= 1;
          if (error) reject(error);
          else resolve();
        });
      });
      socket.uncork();
    });
  }

  /** Ends the connection once everything asked for was answered. */
  #leave(): void {
    this.#leaving = true;
    if (this.#working === 0 && this.#waiting.length === 0) this.#socket.end();
  }
}

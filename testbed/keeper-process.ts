import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemPath } from '../setup/find-program.mjs';
import type { Order, OrderAnswer, OrderMessage, PanicNotice } from './keeper-messages.ts';

/** The process that keeps the nodes, seen from outside; see keeper.ts. */
export class Keeper {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #pending = new Map<number, PromiseWithResolvers<void>>();
  readonly #panics = new Map<string, string>();
  #complaints = '';
  #orders = 0;

  /** `belongings`: folders that are removed when it has ended. */
  constructor(belongings: readonly string[]) {
    // Root makes the namespaces itself; others become root in a user namespace of their own.
    const namespaces =
      process.getuid?.() === 0 ? ['--net', '--mount'] : ['--user', '--map-root-user', '--net', '--mount'];
    const program = [process.execPath, join(import.meta.dirname, 'keeper.ts')];
    this.#process = spawn('unshare', [...namespaces, '--', ...program, ...belongings], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, PATH: systemPath, LC_ALL: 'C' },
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-4000);
    });
    this.#process.on('message', (answer: OrderAnswer | PanicNotice) => {
      if ('panicked' in answer) {
        this.#panics.set(answer.panicked, answer.words);
        return;
      }
      const order = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      if (answer.error === null) order?.resolve();
      else order?.reject(new Error([answer.error, this.#complaints.trim()].filter(Boolean).join('\n')));
    });
    // Not 'close': it never comes after a disconnect from this side.
    const exit = new Promise<unknown>((resolve) => this.#process.once('exit', resolve).once('error', resolve));
    const quiet = new Promise((resolve) => this.#process.stderr?.once('close', resolve));
    this.#ended = Promise.all([exit, quiet]).then(async () => {
      for (const order of this.#pending.values()) order.reject(new Error(this.#complaints.trim() || 'stopped'));
      this.#pending.clear();
      for (const folder of belongings) await rm(folder, { recursive: true, force: true });
    });
  }

  /** The arguments of `nsenter` for the namespaces of the nodes' network. */
  get network(): string[] {
    const { pid } = this.#process;
    const owner = process.getuid?.() === 0 ? [] : [`--user=/proc/${pid}/ns/user`, '--preserve-credentials'];
    return [...owner, `--net=/proc/${pid}/ns/net`];
  }

  /** The last words of a node whose kernel has panicked, and that was not turned on again since. */
  panicOf(node: string): string | null {
    return this.#panics.get(node) ?? null;
  }

  order(order: Order): Promise<void> {
    if (order.action === 'powerOn') this.#panics.delete(order.node);
    if (!this.#process.connected)
      return Promise.reject(new Error(this.#complaints.trim() || 'the nodes have been stopped'));
    const settled = Promise.withResolvers<void>();
    const message: OrderMessage = { ...order, id: ++this.#orders };
    this.#pending.set(message.id, settled);
    this.#process.send(message);
    return settled.promise;
  }

  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#ended;
  }
}

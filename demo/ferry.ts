import { execa } from 'execa';
import { ferryMain, node } from '../testbed/process-worker.ts';
import { screen } from './screen.ts';

/** The `ferry` command in this terminal, as its user has it. */
export interface FerryCommand {
  /** Shows the command, runs it with the terminal as its output (so with its progress bar), and fails when it does. */
  show(...args: string[]): Promise<void>;
  /** Runs it unseen; its output as JSON. */
  ask<T>(...args: string[]): Promise<T>;
}

/** `signal` ends what runs, and lets nothing more begin. */
export function ferryCommand(env: Readonly<Record<string, string>>, signal: AbortSignal): FerryCommand {
  const common = { env, cancelSignal: signal };
  return {
    async show(...args) {
      signal.throwIfAborted();
      screen.command('$', ['ferry', ...args]);
      await execa(node, [ferryMain, ...args], { ...common, stdio: ['ignore', 'inherit', 'inherit'] });
    },
    async ask<T>(...args: string[]): Promise<T> {
      const { stdout } = await execa(node, [ferryMain, ...args, '--json'], { ...common, stdin: 'ignore' });
      return JSON.parse(stdout) as T;
    },
  };
}

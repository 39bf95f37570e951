import { exitCodes } from './exit-codes.ts';

let words: string | undefined;

/**
 * From now on Ctrl-C ends this process at once, whatever it waits for; what it began goes on. `said` is said then, on lines of their own,
 * and tells how to go on; a later call replaces it. Before the first call a process dies of SIGINT, as any does.
 */
export function detachOnInterrupt(said: string): void {
  if (words === undefined) process.on('SIGINT', detach);
  words = said;
}

function detach(): void {
  // The line that shows progress goes. What is written to a pipe, a file or a terminal is out when `write` is back.
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[2K' : ''}${words}\n`);
  process.exit(exitCodes.detached);
}

import { execa, ExecaError } from 'execa';
import { FerryError } from '../../model/errors.ts';
import { activityCancellation } from './activity-cancellation.ts';

export interface RunOptions {
  /** Aborted: the program gets TERM; the call waits for its real end and rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which the program is ended and counts as failed; 0 is no limit. A minute if not given. */
  readonly timeoutMs?: number;
  /**
   * Never KILLed, whatever it takes to end after TERM: for programs such as lvm2's, which would leave devices suspended
   * behind them. Others are killed 5 s after TERM.
   */
  readonly neverKill?: boolean;
}

/**
 * Runs a program to its end, without a shell. Rejects with `ToolFailed` when it exits with another code than 0, is ended by
 * a signal, cannot be started, or says more than 16 MB.
 */
export type RunCommand = (argv: readonly [string, ...string[]], options?: RunOptions) => Promise<{ stdout: string }>;

/** How a program ended, for `toolFailed`. */
export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderr: string;
  /** Why it did not end by itself, or was not even started. */
  readonly because?: string | undefined;
}

const lastWords = 4096;
const maxOutputBytes = 16_000_000;

/** The error of a failed program: `details` hold its argv, exit code, signal and the last 4 kB of its stderr. */
export function toolFailed(argv: readonly string[], end: ProgramEnd, options?: ErrorOptions): FerryError {
  // No text of Postgres' may hold a NUL.
  const stderr = end.stderr.slice(-lastWords).replaceAll('\0', '').trim();
  const how = end.because ?? (end.signal === null ? `exit code ${end.exitCode}` : `ended by ${end.signal}`);
  const said = stderr === '' ? '' : `: ${stderr.split('\n').at(-1)!.trim()}`;
  const details = { program: argv[0], argv, exitCode: end.exitCode, signal: end.signal, stderr };
  return new FerryError('ToolFailed', `${argv[0]} failed (${how})${said}`, details, options);
}

/** The exit code of the program behind a `ToolFailed`, null for every other error. */
export function exitCodeOf(error: unknown): number | null {
  if (!(error instanceof FerryError) || error.type !== 'ToolFailed') return null;
  const { exitCode } = error.details;
  return typeof exitCode === 'number' ? exitCode : null;
}

/** The one way in which Ferry runs programs on its own node. Cancelled with the activity under way, unless a signal is given. */
export const runCommand: RunCommand = async (
  argv,
  { signal = activityCancellation(), timeoutMs = 60_000, neverKill = false } = {},
) => {
  signal?.throwIfAborted();
  const [program, ...operands] = argv;
  const child = execa(program, operands, {
    stdin: 'ignore',
    buffer: { stdout: true, stderr: false },
    maxBuffer: maxOutputBytes,
    timeout: timeoutMs,
    forceKillAfterDelay: neverKill ? false : 5000,
    // Messages of one language, and lvm2 does not complain of descriptors it did not expect.
    env: { LC_ALL: 'C', LVM_SUPPRESS_FD_WARNINGS: '1' },
    ...(signal && { cancelSignal: signal }),
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2 * lastWords)));
  try {
    const { stdout } = await child;
    return { stdout };
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    // execa rejects after the process has ended, but with an error that Temporal would not take for a cancellation.
    if (error.isCanceled) throw signal!.reason;
    const end = {
      exitCode: error.exitCode ?? null,
      signal: error.signal ?? null,
      stderr,
      because: reasonOf(error, timeoutMs),
    };
    throw toolFailed(argv, end, { cause: error });
  }
};

function reasonOf(error: ExecaError, timeoutMs: number): string | undefined {
  if (error.timedOut) return `not finished after ${timeoutMs / 1000} s`;
  if (error.isMaxBuffer) return `more than ${maxOutputBytes} bytes of output`;
  if (error.code === 'ENOENT' || error.code === 'EACCES') return `${error.code}: is it installed, and in PATH?`;
  return error.exitCode === undefined && error.signal === undefined ? error.originalMessage : undefined;
}

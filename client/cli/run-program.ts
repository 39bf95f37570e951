import { inspect } from 'node:util';
import { CommanderError, type Command } from 'commander';
import * as z from 'zod';
import { FerryError, type Reason } from '../../model/errors.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { printableLines } from './text-width.ts';

/** Runs the program on the process's arguments; sets the exit code, and never lets a stack trace out of what Ferry knows. */
export async function runProgram(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  endQuietlyWithTheReader();
  const json = argv.includes('--json');
  throwInsteadOfExit(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const onlyHelp = error instanceof CommanderError && error.code === 'commander.help';
    if (onlyHelp) {
      process.exitCode = exitCodes.usage;
      return;
    }
    const failure = asFailure(error);
    process.stderr.write(json ? `${JSON.stringify({ error: failure.error })}\n` : `${printableLines(failure.text)}\n`);
    process.exitCode = failure.exitCode;
  }
}

/** Help and version still print; errors come to `runProgram` in one place, also those of commands added by others. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} });
  for (const sub of command.commands) throwInsteadOfExit(sub);
}

interface Failure {
  exitCode: number;
  text: string;
  error: { type: string; message: string; details?: Record<string, unknown> };
}

function asFailure(error: unknown): Failure {
  if (error instanceof FerryError) {
    const { type, message, details } = error;
    return { exitCode: exitCodeOf(type), text: errorText(error), error: { type, message, details } };
  }
  if (error instanceof CommanderError || error instanceof z.ZodError) {
    const message = error instanceof z.ZodError ? z.prettifyError(error) : error.message.replace(/^error: /, '');
    return { exitCode: exitCodes.usage, text: `error: ${message}`, error: { type: 'InvalidInput', message } };
  }
  const message = rootMessage(error);
  const text =
    process.env['FERRY_DEBUG'] === '1'
      ? inspect(error)
      : `error: ${message.split('\n')[0]} (a bug? FERRY_DEBUG=1 shows where)`;
  return { exitCode: exitCodes.refusedOrFailed, text, error: { type: 'Unexpected', message } };
}

/** What wrappers say ("workflow execution failed") helps nobody. */
function rootMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}

/** One reason as it is, several as a list. */
export function errorText(error: FerryError): string {
  const reasons = error.details['reasons'] as readonly Reason[] | undefined;
  if (error.type !== 'MigrationRefused' || !reasons) return `error: ${error.message}`;
  return ['error: refused, nothing was done:', ...reasons.map((r) => `  - ${r.message}`)].join('\n');
}

/** `ferry list | head`: a reader that has seen enough is no error. */
function endQuietlyWithTheReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(exitCodes.done);
  });
}

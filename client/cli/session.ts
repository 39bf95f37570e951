import type { Command } from 'commander';
import { loadConfiguration } from '../../configuration/load.ts';
import { tenantId } from '../../model/ids.ts';
import { administrator, type Identity } from '../identity.ts';
import { openFerry, type Ferry } from '../open-ferry.ts';
import { checked } from './arguments.ts';
import { printableLines } from './text-width.ts';

/** Options that every command takes, before or after its name. */
export function addGlobalOptions(program: Command): void {
  program
    .option(
      '--json',
      'print JSON: the result on standard output, an error as {"error":{type,message,details}} on standard error',
    )
    .option('--as <tenant>', 'act as this tenant, not as administrator', checked('as', tenantId));
}

export interface Session {
  ferry: Ferry;
  /** Whether the caller wants JSON. */
  json: boolean;
  /** Writes the result to standard output: the value as one line of JSON if that is wanted, else the text. */
  answer: (value: unknown, text: string) => void;
}

/** Opens Ferry as configuration and global options say, runs a command's work, and closes it. */
export async function withFerry(command: Command, work: (session: Session) => Promise<void>): Promise<void> {
  const options = command.optsWithGlobals<{ json?: boolean; as?: string }>();
  const identity: Identity =
    options.as === undefined ? administrator : { name: options.as, tenant: options.as, roles: ['member'] };
  const ferry = await openFerry({ configuration: await loadConfiguration(process.env), identity });
  try {
    const json = options.json ?? false;
    const answer = (value: unknown, text: string) =>
      void process.stdout.write(`${json ? JSON.stringify(value) : printableLines(text)}\n`);
    await work({ ferry, json, answer });
  } finally {
    await ferry.close();
  }
}

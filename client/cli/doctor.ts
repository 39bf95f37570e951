import type { Command } from 'commander';
import { loadConfiguration } from '../../configuration/load.ts';
import type { Finding } from '../doctor/finding.ts';
import { exitCodes } from './exit-codes.ts';
import { columns } from './table.ts';

/** `ferry doctor`: whether the workers of this machine's configuration can do their work here, and what to do where not. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      "look at what this machine's workers need: programs, rights, certificates, storage, Postgres, Temporal",
    )
    .addHelpText(
      'after',
      `\nLooks at what the configuration asks for: a storage worker ("node"), a compute worker ("compute"), and what all need.
Changes nothing. Run it as the worker's user, with its environment. Exit code 1: something is in a worker's way.`,
    )
    .action(async (_options, command: Command) => {
      const { json = false } = command.optsWithGlobals<{ json?: boolean }>();
      const { examine } = await import('../doctor/examine.ts');
      const findings = await examine(await loadConfiguration(process.env));
      console.log(json ? JSON.stringify(findings) : report(findings));
      if (findings.some(({ state }) => state === 'fault')) process.exitCode = exitCodes.refusedOrFailed;
    });
}

const words = { ok: 'ok', warning: 'WARNING', fault: 'FAULT' } as const;

function report(findings: readonly Finding[]): string {
  const lines = columns(findings.map(({ check, state, found }) => [words[state], check, found])).split('\n');
  const told = findings.flatMap(({ remedy }, i) =>
    remedy === null ? [lines[i]!] : [lines[i]!, `         -> ${remedy}`],
  );
  const count = (state: Finding['state']) => findings.filter((each) => each.state === state).length;
  return [...told, `ok: ${count('ok')}, warnings: ${count('warning')}, faults: ${count('fault')}`].join('\n');
}

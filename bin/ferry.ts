import { Command } from 'commander';
import { addClientCommands } from '../client/cli/program.ts';
import { runProgram } from '../client/cli/run-program.ts';
import manifest from '../package.json' with { type: 'json' };
import { addDbCommand } from '../workers/commands/db.ts';
import { addDevCommand } from '../workers/commands/dev.ts';
import { addWorkerCommand } from '../workers/commands/worker.ts';

const program = new Command('ferry').version(manifest.version, '--version', "print Ferry's version");
addClientCommands(program);
addWorkerCommand(program);
// A release has no servers in it.
if (import.meta.filename.endsWith('.ts'))
  addDevCommand(program, async (how) => (await import('../client/api/run-api.ts')).startApi(how));
addDbCommand(program);
await runProgram(program);

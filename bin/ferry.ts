import { Command } from 'commander';
import { addClientCommands } from '../client/cli/program.ts';
import { runProgram } from '../client/cli/run-program.ts';
import { addDbCommand } from '../workers/commands/db.ts';
import { addDevCommand } from '../workers/commands/dev.ts';
import { addWorkerCommand } from '../workers/commands/worker.ts';

const program = new Command('ferry');
addClientCommands(program);
addWorkerCommand(program);
addDevCommand(program);
addDbCommand(program);
await runProgram(program);

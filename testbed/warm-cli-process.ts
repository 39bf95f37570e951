// Runs the `ferry` command again and again, each time as a process of its own would: what it takes to load it is paid for once.
import type { CliAnswer, CliQuestion } from './warm-cli.ts';

const program = new URL('../bin/ferry.ts', import.meta.url);
let runs = 0;
let said = { stdout: '', stderr: '' };

for (const name of ['stdout', 'stderr'] as const) {
  const stream = process[name];
  stream.write = (chunk: string | Uint8Array) => {
    said[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return true;
  };
}

process.on('message', async ({ args, env }: CliQuestion) => {
  said = { stdout: '', stderr: '' };
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  process.argv.splice(1, Infinity, program.pathname, ...args);
  // Another address each time, so that the program runs again; all that it imports is there already.
  program.search = String((runs += 1));
  await import(program.href);
  // Each run listens for a reader that goes away.
  process.stdout.removeAllListeners('error');
  const answer: CliAnswer = { ...said, exitCode: Number(process.exitCode ?? 0) };
  process.exitCode = undefined;
  process.send!(answer);
});
process.on('disconnect', () => process.exit());

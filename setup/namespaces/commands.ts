import type { Readable } from 'node:stream';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

export interface Ran {
  readonly exitCode: number;
  /** Both of its outputs, as they came. */
  readonly output: string;
  readonly stdout: string;
}

/** Runs things in what is nearly a machine of its own. */
export interface Commands {
  /** Runs a command; an exit code other than 0 is an answer. */
  run(argv: readonly string[], options?: { cwd?: string; env?: Record<string, string> }): Promise<Ran>;
  /** The same, with an input; throws when the command fails. */
  feed(argv: readonly string[], input: Readable): Promise<void>;
  /** Starts a program that stays; answers with its process id there. Its output goes to the log, a path there. */
  start(argv: readonly string[], options: { env?: Record<string, string>; log: string }): Promise<number>;
}

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const comeWithinMs = 60_000;

/** What can be run in the namespaces of a process. */
export function commandsIn(pid: number): Commands {
  const enter = ['--target', String(pid), '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--'];
  const inside = (
    argv: readonly string[],
    { cwd = '/', env = {} }: { cwd?: string; env?: Record<string, string> } = {},
  ) => {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return [...enter, 'env', '-i', `--chdir=${cwd}`, 'HOME=/root', 'LANG=C.UTF-8', path, ...variables, ...argv];
  };
  const commands: Commands = {
    async run(argv, options) {
      const ran = await execa('nsenter', inside(argv, options), { all: true, stdin: 'ignore', reject: false });
      return { exitCode: ran.exitCode ?? -1, output: ran.all, stdout: ran.stdout };
    },
    async feed(argv, input) {
      await execa('nsenter', inside(argv), { input, stdout: 'ignore' });
    },
    async start(argv, { env = {}, log }) {
      const line = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!';
      const { output } = await commands.run(['sh', '-c', line, 'start', log, ...argv], { env });
      return Number(output);
    },
  };
  return commands;
}

/** The first process of namespaces, by the one that made them: a process id out here. `name`: as what it runs once its mounts are made. */
export async function firstProcess(maker: number, name: string): Promise<number> {
  for (const deadline = Date.now() + comeWithinMs; Date.now() < deadline; await sleep(50)) {
    const children = await readFile(`/proc/${maker}/task/${maker}/children`, 'utf8').catch(() => '');
    const child = Number(children.trim().split(' ')[0]);
    if (child && (await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')).trim() === name) return child;
  }
  throw new Error(`The namespaces in which ${name} runs do not come up.`);
}

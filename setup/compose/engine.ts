import type { Readable } from 'node:stream';
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

export interface Ran {
  readonly exitCode: number;
  /** Both of its outputs, as they came. */
  readonly output: string;
}

/** Runs things beside the containers, as on the host of the engine. */
export interface Commands {
  /** Runs a command; an exit code other than 0 is an answer. */
  run(argv: readonly string[], options?: { cwd?: string; env?: Record<string, string> }): Promise<Ran>;
  /** The same, with an input; throws when the command fails. */
  feed(argv: readonly string[], input: Readable): Promise<void>;
  /** Starts a program that stays; answers with its process id there. Its output goes to the log, a path there. */
  start(argv: readonly string[], options: { env: Record<string, string>; log: string }): Promise<number>;
}

/** A Docker engine on what is nearly a machine of its own: see enter-engine.sh. */
export interface Engine extends Commands {
  /** Ends all that runs in it. Throws when something of it is left. */
  stop(): Promise<void>;
}

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const startsWithin = 60_000;

/** Starts it in a Debian that has `docker.io`. */
export async function startEngine(folder: string): Promise<Engine> {
  const group = join(await unifiedHierarchy(), `ferry-compose-${process.pid}`);
  await mkdir(group, { recursive: true });
  const outer = execa('bash', [join(import.meta.dirname, 'enter-engine.sh'), folder, group], {
    reject: false,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const inner = await firstChild(outer.pid!);
  const engine: Engine = {
    ...commandsIn(inner),
    async stop() {
      outer.kill('SIGTERM');
      process.kill(inner, 'SIGKILL');
      await outer;
      await removeGroups(group);
    },
  };
  const deadline = Date.now() + startsWithin;
  while ((await engine.run(['docker', 'info'])).exitCode !== 0) {
    if (Date.now() > deadline) {
      const log = await readFile(join(folder, 'var/log/dockerd.log'), 'utf8').catch(() => 'it has written nothing');
      await engine.stop();
      throw new Error(`The Docker engine does not come up: ${log.slice(-2000)}`);
    }
    await sleep(200);
  }
  return engine;
}

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
      return { exitCode: ran.exitCode ?? -1, output: ran.all };
    },
    async feed(argv, input) {
      await execa('nsenter', inside(argv), { input, stdout: 'ignore' });
    },
    async start(argv, { env, log }) {
      const line = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!';
      const { output } = await commands.run(['sh', '-c', line, 'start', log, ...argv], { env });
      return Number(output);
    },
  };
  return commands;
}

/** Where groups of the second version are: on some machines beside those of the first. */
async function unifiedHierarchy(): Promise<string> {
  const [, place] = /^\S+ (\S+) cgroup2 /m.exec(await readFile('/proc/mounts', 'utf8')) ?? [];
  if (place === undefined) throw new Error('A Docker engine needs cgroup2, and it is not mounted here.');
  return place;
}

/** The first process of the namespaces: a process id out here. */
async function firstChild(pid: number): Promise<number> {
  for (const deadline = Date.now() + startsWithin; Date.now() < deadline; await sleep(50)) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    const child = Number(children.trim().split(' ')[0]);
    // Before that it is a shell that still makes its mounts.
    if (child && (await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')).trim() === 'docker-init') return child;
  }
  throw new Error('The namespaces of the Docker engine do not come up.');
}

/** A group can be removed a moment after its last process. */
async function removeGroups(group: string): Promise<void> {
  const below = await readdir(group, { recursive: true, withFileTypes: true });
  const groups = below.filter((each) => each.isDirectory()).map((each) => join(each.parentPath, each.name));
  for (const each of [...groups.toSorted((a, b) => b.length - a.length), group]) {
    for (let tries = 0; ; tries += 1) {
      try {
        await rmdir(each);
        break;
      } catch (error) {
        if (tries === 100) throw error;
        await sleep(100);
      }
    }
  }
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { type Commands, commandsIn, firstProcess } from '../namespaces/commands.ts';
import { makeGroup, removeGroup } from '../namespaces/control-group.ts';

/** A Docker engine on what is nearly a machine of its own: see enter-engine.sh. Commands run beside the containers, as on its host. */
export interface Engine extends Commands {
  /** Ends all that runs in it. Throws when something of it is left. */
  stop(): Promise<void>;
}

const startsWithin = 60_000;

/** Starts it in a Debian that has `docker.io`. */
export async function startEngine(folder: string): Promise<Engine> {
  const group = await makeGroup('ferry-compose');
  const outer = execa('bash', [join(import.meta.dirname, 'enter-engine.sh'), folder, group], {
    reject: false,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const inner = await firstProcess(outer.pid!, 'docker-init');
  const engine: Engine = {
    ...commandsIn(inner),
    async stop() {
      outer.kill('SIGTERM');
      process.kill(inner, 'SIGKILL');
      await outer;
      await removeGroup(group);
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

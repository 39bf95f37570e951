import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Commands } from '../namespaces/commands.ts';
import { check, comes, must, said } from '../story-checks.ts';
import { ferryProgram, nodes, project } from './furnish.ts';

const secrets = ['postgres-password', 'ferry-database-url', 'temporal-pgpass', 'grafana-password'];
const jobs = ['databases', 'temporal-schema', 'temporal-namespace', 'ferry-schema'];
const stays = ['postgres', 'temporal', 'temporal-ui', 'control', 'api', 'prometheus', 'alertmanager', 'grafana'];

function lane(engine: Commands) {
  const compose = (...argv: readonly string[]) =>
    engine.run(['docker', 'compose', '--ansi=never', ...argv], { cwd: project });
  const docker = (...argv: readonly string[]) => engine.run(['docker', ...argv]);
  const env = (config: string) => ({
    TEMPORAL_ADDRESS: '127.0.0.1:7233',
    FERRY_DATABASE_URL_FILE: `${project}/compose/secrets/node-database-url`,
    FERRY_CONFIG: config,
  });
  return {
    compose,
    docker,
    up: () => compose('up', '--detach', '--wait', '--wait-timeout', '300', '--quiet-pull'),
    /** The CLI, as on an administrator's host. */
    ferry: (...argv: readonly string[]) => engine.run([...ferryProgram, ...argv], { env: env('') }),
    /** A storage worker, as on its host: whatever ends it, it is started again, as by its unit. Answers with the id of what does so. */
    worker: (node: string) =>
      engine.start(['sh', '-c', 'while :; do "$@"; sleep 1; done', 'unit', ...ferryProgram, 'worker', 'storage'], {
        env: env(`/etc/ferry/${node}.json`),
        log: `/var/log/${node}.log`,
      }),
    killWorker: (unit: number | undefined) => must(engine.run(['sh', '-c', `pkill -KILL -P ${unit}`])),
    /** What an address on the host answers; empty: nothing. */
    async ask(url: string): Promise<string> {
      const code = `fetch(${JSON.stringify(url)}).then(async (r) => process.stdout.write(r.ok ? await r.text() : ''), () => {})`;
      return (await engine.run(['node', '-e', code])).output;
    },
    /** The devices that a node has. */
    devices: async (node: string) =>
      (await must(engine.run(['find', `/srv/volumes-${node}/volumes`, '-type', 'f']))).split('\n').filter(Boolean),
    /** The bytes of a node's only device. */
    digest: async (node: string) =>
      (await must(engine.run(['sh', '-c', `sha256sum /srv/volumes-${node}/volumes/*`]))).split(' ')[0],
    /** The process ids of export servers. */
    exports: async () => (await engine.run(['sh', '-c', 'pgrep -x qemu-nbd'])).output.trim(),
  };
}
type Lane = ReturnType<typeof lane>;

/** One volume's place and state, or nothing while somebody cannot be reached. */
async function shown({ ferry }: Lane, volume: string): Promise<Record<string, unknown>> {
  const { exitCode, output } = await ferry('show', volume, '--json');
  return exitCode === 0 ? z.record(z.string(), z.unknown()).parse(JSON.parse(output)) : {};
}

/** All services as they must be; what is not. */
async function wrongServices({ compose }: Lane): Promise<string[]> {
  const row = z.object({ Service: z.string(), State: z.string(), Health: z.string(), ExitCode: z.number() });
  const rows = (await must(compose(...'ps --all --format json'.split(' ')))).trim().split('\n');
  const all = rows.map((line) => row.parse(JSON.parse(line)));
  const wrong = all.filter(({ Service, State, Health, ExitCode }) =>
    jobs.includes(Service) ? State !== 'exited' || ExitCode !== 0 : State !== 'running' || Health !== 'healthy',
  );
  const missing = [...jobs, ...stays].filter((name) => !all.some(({ Service }) => Service === name));
  return [...wrong.map((each) => JSON.stringify(each)), ...missing];
}

async function comesUp(on: Lane, engine: Commands, system: string): Promise<void> {
  await must(engine.run(['sh', `${project}/compose/make-secrets.sh`]));
  const built = await on.compose('build');
  check('the image is built from the Dockerfile and the release', built.exitCode === 0, built.output);
  const up = await on.up();
  const why = up.exitCode === 0 ? '' : `${up.output}\n${(await on.compose('logs', '--tail=30')).output}`;
  check('up: all health checks green', up.exitCode === 0, why);
  check('every service runs and is healthy, every job has ended well', ...told(await wrongServices(on)));
  const again = await on.up();
  check('up once more changes nothing that hurts', again.exitCode === 0, again.output);

  const ids = (await must(on.docker('container', 'ls', '--all', '--quiet'))).trim().split('\n');
  const inspected = await must(on.docker('inspect', ...ids));
  const texts = await Promise.all(
    secrets.map((name) => readFile(join(system, project, 'compose/secrets', name), 'utf8')),
  );
  const words = texts.map(
    (text) =>
      text
        .trim()
        .split(/[:@]/)
        .findLast((each) => /^[0-9a-f]{48}$/.test(each)) ?? text,
  );
  check('no container is described with a secret', !words.some((each) => inspected.includes(each)));
  const user = await on.compose('exec', '--no-TTY', 'control', 'id', '-u');
  check('Ferry runs as nobody that the machine knows', user.output.trim() === '10001', user.output);
  const open = (await must(engine.run(['ss', '-Hltn']))).trim().split('\n');
  const beyond = open.filter((line) => !/\s127\.0\.0\.\d+(%lo)?:\d+\s/.test(line));
  check('nothing listens beyond loopback', ...told(beyond));
}

const told = (wrong: readonly string[]): [boolean, string] => [wrong.length === 0, wrong.join('\n')];

async function isWatched(on: Lane): Promise<void> {
  const prometheus = 'http://127.0.0.1:9090/api/v1';
  const workers = async () => (await on.ask(`${prometheus}/query?query=sum(ferry_registry_up)`)).includes('"2"]');
  check('Prometheus has both control workers', await comes(workers));
  const rules = await on.ask(`${prometheus}/rules`);
  check('Prometheus has the alert rules', rules.includes('FerryControlWorkerMissing'), rules);
  const managers = async () =>
    (await on.ask(`${prometheus}/alertmanagers`)).includes('alertmanager:9093/api/v2/alerts');
  check('Prometheus has Alertmanager', await comes(managers));
  const api = await on.ask('http://127.0.0.1:8776/v3');
  check('the API answers', api.includes('"versions"'), api);
  const ui = await on.ask('http://127.0.0.1:8080/api/v1/namespaces');
  check("Temporal's UI shows the namespace", /"name":\s*"default"/.test(ui), ui);
  const grafana = await on.ask('http://127.0.0.1:3000/api/health');
  check('the stand-in for Grafana finds the dashboard', grafana.includes('"dashboards":["Ferry"]'), grafana);
}

/** A volume with something in it, on the first node. */
async function makeVolume(on: Lane, engine: Commands): Promise<string> {
  const made = await must(
    on.ferry('create', '--size', '512MiB', '--name', 'moved', '--host', 'server1@files', '--json'),
  );
  const { id } = z.looseObject({ id: z.string() }).parse(JSON.parse(made));
  const fill = `dd if=/dev/urandom of="$(find /srv/volumes-server1/volumes -type f)" bs=1M count=256 conv=notrunc status=none`;
  await must(engine.run(['sh', '-c', fill]));
  return id;
}

/** Where its last migration is. */
async function phase({ ferry }: Lane, volume: string): Promise<string | undefined> {
  const { exitCode, output } = await ferry('migration', 'list', '--volume', volume, '--json');
  const records = z.array(z.looseObject({ phase: z.string() }));
  return exitCode === 0 ? records.parse(JSON.parse(output))[0]?.phase : undefined;
}

/** Moves a volume slowly, does something in mid-copy, and looks how it ends. */
async function moves(
  on: Lane,
  engine: Commands,
  {
    volume,
    from,
    to,
    what,
    meanwhile,
  }: { volume: string; from: string; to: string; what: string; meanwhile: () => Promise<void> },
): Promise<void> {
  const before = await on.digest(from);
  const watcher = ['migrate', volume, `${to}@files`, '--bandwidth', '4MiB/s'];
  await engine.start([...ferryProgram, ...watcher], {
    env: {
      TEMPORAL_ADDRESS: '127.0.0.1:7233',
      FERRY_DATABASE_URL_FILE: `${project}/compose/secrets/node-database-url`,
    },
    log: '/var/log/migrate.log',
  });
  const copies = async () => (await phase(on, volume)) === 'copying';
  check(`${what}: it copies`, await comes(copies), (await on.ferry('migration', 'list')).output);
  await meanwhile();
  const ended = async () => {
    const { 'os-vol-host-attr:host': host, 'os-vol-mig-status-attr:migstat': migstat } = await shown(on, volume);
    return host === `${to}@files` && (migstat === null || migstat === 'None');
  };
  const well = await comes(ended, 400);
  check(`${what}: the migration ends on ${to}`, well, (await on.ferry('migration', 'list', '--json')).output);
  if (!well) return;
  check(`${what}: the same bytes`, (await on.digest(to)) === before);
  const left = await on.devices(from);
  check(`${what}: nothing is left on ${from}`, ...told(left));
}

/** What is done with the file, and how it must go. `system`: the folder of the engine's Debian. */
export async function story(engine: Commands, system: string): Promise<void> {
  const on = lane(engine);
  said('up');
  await comesUp(on, engine, system);
  await isWatched(on);

  said('storage workers on the host, and migrations while things are killed');
  const workers = new Map<string, number>();
  for (const node of nodes) workers.set(node, await on.worker(node));
  const hosts = async () =>
    ((await on.ferry('host', 'list', '--json')).output.match(/"state":\s*"up"/g) ?? []).length === 2;
  check('both storage workers are up', await comes(hosts), (await on.ferry('host', 'list', '--long')).output);
  const volume = await makeVolume(on, engine);
  await moves(on, engine, {
    volume,
    from: 'server1',
    to: 'server2',
    what: 'a control worker and Temporal are killed by `docker kill`',
    async meanwhile() {
      await must(on.docker('kill', 'ferry-control-1', 'ferry-temporal-1'));
      const up = await on.up();
      check('up brings them back', up.exitCode === 0, up.output);
    },
  });
  await moves(on, engine, {
    volume,
    from: 'server2',
    to: 'server1',
    what: 'Postgres and a control worker crash, and a storage worker is killed',
    async meanwhile() {
      for (const name of ['ferry-postgres-1', 'ferry-control-2']) {
        const pid = (await must(on.docker('inspect', '--format', '{{.State.Pid}}', name))).trim();
        await must(engine.run(['kill', '-KILL', pid]));
      }
      await on.killWorker(workers.get('server1'));
      const back = async () => (await wrongServices(on)).length === 0;
      check(
        'what crashes comes back by itself',
        await comes(back),
        (await on.compose(...'ps --all'.split(' '))).output,
      );
    },
  });

  said('an attached export, while all containers and its worker go');
  await must(on.ferry('attach', volume, 'guest', 'hypervisor1'));
  const serving = await on.exports();
  check('the volume is exported', serving !== '');
  await must(on.compose('down'));
  await on.killWorker(workers.get('server1'));
  check('its server is the same process', serving !== '' && (await on.exports()) === serving);
  const back = await on.up();
  check('up again, with the same registry and histories', back.exitCode === 0, back.output);
  const attached = async () => JSON.stringify(await shown(on, volume)).includes('in-use');
  check('the volume is still attached', await comes(attached));
  check('by the same server', (await on.exports()) === serving);
  const detached = async () => (await on.ferry('detach', volume)).exitCode === 0;
  check('it can be detached', await comes(detached), (await on.ferry('detach', volume)).output);
  check('and its export ends', await comes(async () => (await on.exports()) === ''));

  said('down');
  for (const pid of workers.values()) await engine.run(['kill', '-KILL', '--', `-${pid}`]);
  await must(on.compose('down', '--volumes'));
  const kinds = [
    ['container', 'ls', '--all'],
    ['volume', 'ls'],
    ['network', 'ls', '--filter', 'type=custom'],
  ];
  for (const kind of kinds) {
    const left = (await must(on.docker(...kind, '--quiet'))).trim();
    check(`nothing is left: docker ${kind.join(' ')}`, left === '', left);
  }
}

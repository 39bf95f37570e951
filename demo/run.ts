import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openFerry, type Ferry } from '../client/open-ferry.ts';
import { loadConfiguration } from '../configuration/load.ts';
import { processWorker } from '../testbed/process-worker.ts';
import { NodesUnavailable } from '../testbed/nodes.ts';
import { seedNodes, startSystem, type PlainSystem } from '../testbed/system.ts';
import { freePorts } from '../workers/embedded/free-ports.ts';
import { tellAttachedStory } from './attached-story.ts';
import { cinderCommand, clientEnv, tellCinderStory } from './cinder-story.ts';
import { tellEvacuationStory } from './evacuation-story.ts';
import { directoryDevices, lvmDevices, type Devices } from './devices.ts';
import { ferryCommand, type FerryCommand } from './ferry.ts';
import { startHypervisor } from './hypervisor.ts';
import { screen } from './screen.ts';
import { tellStory } from './story.ts';

const usage = `npm run demo [-- --cinder | --attached | --evacuate] [-- --require-lvm] [-- --keep]

Moves a volume with real data between two storage nodes on this machine, and shows it. Cleans everything up in the end.
  --cinder    the same by the stock cinder client, against Ferry's API
  --attached  the volume is in use by a running guest of a libvirt of the demo's own
  --evacuate  a node is emptied of volumes, one of them in use by such a guest, and decommissioned
  --require-lvm  an error instead of back ends of plain files where storage nodes with LVM cannot run
  --keep      leave it running, with Temporal's Web UI, until Ctrl-C`;

await main().catch((error: unknown) => {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode ||= 1;
});

async function main(): Promise<void> {
  const options = readArguments();
  if (!options) return;
  const interrupt = interruptSignal();
  const directory = await mkdtemp(join(tmpdir(), 'ferry-demo-'));
  const starting =
    options.attached || options.evacuate
      ? startStageWithGuest(directory, interrupt, options)
      : startStage(directory, interrupt, options);
  try {
    await Promise.race([untilAborted(interrupt), play(starting, interrupt, options)]);
  } finally {
    screen.note('\nCleaning up: nodes, servers, files (a few seconds).');
    const stage = await starting.catch(() => null);
    await stage?.stop();
    await rm(directory, { recursive: true, force: true });
    // Here once more, where it is not scrolled away.
    if (stage && stage.instead !== null) screen.warning(`This was told without LVM. ${stage.instead}`);
  }
}

async function play(starting: Promise<Stage>, interrupt: AbortSignal, options: Options): Promise<void> {
  const began = Date.now();
  const stage = await starting;
  const { system } = stage;
  interrupt.throwIfAborted();
  const library = await openFerry({ configuration: await loadConfiguration(system.env) });
  try {
    await stage.tell(ferryCommand(system.env, interrupt), library);
  } finally {
    await library.close();
  }
  screen.note(`It took ${Math.round((Date.now() - began) / 1000)} s in all.`);
  if (!options.keep) return;
  await tellHowToGoOn(stage);
  await untilAborted(interrupt);
  process.exitCode = 0;
}

interface Stage {
  system: PlainSystem;
  /** Why the back ends are not what they should be, and what to do; null when they are. */
  instead: string | null;
  /** Where Cinder's API is; null: there is none. */
  apiUrl: string | null;
  tell(ferry: FerryCommand, library: Ferry): Promise<void>;
  stop(): Promise<void>;
}

async function startStage(directory: string, interrupt: AbortSignal, options: Options): Promise<Stage> {
  screen.part('Starting Temporal, Postgres, a control worker and the storage nodes server1 and server2 (10-60 s)');
  screen.note(
    'The nodes are small virtual machines (user-mode Linux) with a kernel and an LVM of their own; yours is not touched.',
  );
  try {
    const system = await startSystem({ directory });
    return await detachedStage(system, lvmDevices(system.nodes, interrupt), { instead: null, interrupt, options });
  } catch (error) {
    if (!(error instanceof NodesUnavailable) || options.requireLvm) throw error;
    const instead = `${error.message} With them (x86-64, Debian 12 or 13, an open /dev/net/tun) it is told on real volume groups; with \`-- --require-lvm\` their lack is an error.`;
    screen.warning(instead);
    screen.note(
      `So the two nodes are plain processes here, and their back ends directories of sparse files instead of LVM.`,
    );
    const system = await startSystem({ directory, backing: 'directory' });
    return detachedStage(system, directoryDevices(directory, interrupt), { instead, interrupt, options });
  }
}

async function detachedStage(
  system: PlainSystem,
  devices: Devices,
  { instead, interrupt, options }: { instead: string | null; interrupt: AbortSignal; options: Options },
): Promise<Stage> {
  try {
    const api = await startApi(system);
    return {
      system,
      instead,
      apiUrl: api.url,
      tell: (ferry, library) =>
        options.cinder
          ? tellCinderStory(cinderCommand(api.url, interrupt), library, devices)
          : tellStory(ferry, library, devices),
      async stop() {
        await api.stop();
        await system.stop();
      },
    };
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/** Cinder's API, without Keystone, on loopback. */
async function startApi({ env, directory }: PlainSystem): Promise<{ url: string; stop(): Promise<void> }> {
  const [port] = await freePorts(1);
  const at = `127.0.0.1:${port}`;
  const api = processWorker(['api', '--listen', at], env, join(directory, 'api.log'));
  await api.start();
  return { url: `http://${at}`, stop: () => api.signal('SIGTERM') };
}

/** Nodes are plain processes here: a hypervisor on this machine does not reach into the network that guests as nodes have. */
async function startStageWithGuest(directory: string, interrupt: AbortSignal, { evacuate }: Options): Promise<Stage> {
  screen.part('Starting Temporal, Postgres, the workers, and a libvirt of its own with a guest (10-60 s)');
  screen.note(
    'The storage nodes are plain processes, their back ends directories of sparse files. Your own libvirt and guests are not touched.',
  );
  const third = { name: 'server3', volumeGroups: [{ name: 'lvmstorage-3', sizeMib: 8192 }] };
  const nodes = evacuate ? [...seedNodes, third] : seedNodes;
  const system = await startSystem({ directory, nodes, backing: 'directory' });
  try {
    const hypervisor = await startHypervisor(system);
    const devices = directoryDevices(directory, interrupt);
    return {
      system,
      instead: null,
      apiUrl: null,
      tell: (ferry, library) =>
        evacuate
          ? tellEvacuationStory(ferry, devices, hypervisor)
          : tellAttachedStory(ferry, library, devices, hypervisor),
      async stop() {
        await hypervisor.stop();
        await system.stop();
      },
    };
  } catch (error) {
    await system.stop();
    throw error;
  }
}

async function tellHowToGoOn({ system: { temporal, env, directory }, apiUrl }: Stage): Promise<void> {
  const file = join(directory, 'env.sh');
  const lines = Object.entries({ ...env, ...(apiUrl === null ? {} : clientEnv(apiUrl)) }).map(
    ([name, value]) => `export ${name}='${value}'`,
  );
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  screen.part('It is left running.');
  console.log(`
  Temporal's Web UI:   ${temporal.uiUrl}
  In another shell:    . ${file}
                       npm run ferry -- host list${apiUrl === null ? '' : '\n                       cinder list'}
  Logs:                ${directory}
  Stop and clean up:   Ctrl-C here`);
}

/** Aborts at the first Ctrl-C or SIGTERM: then everything is cleaned up. The second ends the demo where it is. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const onSignal = () => {
    // One key press may come twice: from the terminal and from the process that started this one.
    if (first !== 0 && Date.now() - first > 1000) process.exit(130);
    first ||= Date.now();
    process.exitCode = 130;
    controller.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  return controller.signal;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

interface Options {
  cinder: boolean;
  attached: boolean;
  evacuate: boolean;
  requireLvm: boolean;
  keep: boolean;
}

function readArguments(): Options | null {
  try {
    const { values } = parseArgs({
      options: {
        cinder: { type: 'boolean', default: false },
        attached: { type: 'boolean', default: false },
        evacuate: { type: 'boolean', default: false },
        'require-lvm': { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const { cinder, attached, evacuate, keep, 'require-lvm': requireLvm } = values;
    if (cinder && (attached || evacuate)) throw new Error('One story at a time: --cinder, --attached or --evacuate.');
    if (requireLvm && (attached || evacuate))
      throw new Error('The stories with a guest are always told on directories; --require-lvm is for the other one.');
    if (!values.help) return { cinder, attached, evacuate, requireLvm, keep };
    console.log(usage);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exitCode = 2;
  }
  return null;
}

import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { type Commands, commandsIn, firstProcess } from '../../setup/namespaces/commands.ts';
import { makeGroup, removeGroup } from '../../setup/namespaces/control-group.ts';
import type { Network } from './network.ts';

export interface MachineSettings {
  readonly name: string;
  readonly address: string;
  /** The Debian that it has, which it does not change. */
  readonly base: string;
  /** Where what it writes is kept. */
  readonly folder: string;
  readonly network: Network;
  /** Names and addresses of all machines. */
  readonly hosts: Readonly<Record<string, string>>;
}

/** What is nearly a machine: a Debian under its own systemd, with a network address. */
export interface Machine extends Commands {
  readonly name: string;
  readonly address: string;
  /** One of its files, as processes outside reach it. */
  file(path: string): string;
  /** Writes a file there, with its folders. `mode`: 0644 if not given. */
  write(path: string, text: string, mode?: number): Promise<void>;
  /** Turns it off as its operator does; throws when something of it stays. */
  powerOff(): Promise<void>;
  /** Ends all that runs there at once, and boots again from what it has written. */
  losePower(): Promise<void>;
  /** Ends all that runs there, whatever that is. May be repeated. */
  destroy(): Promise<void>;
}

const bootsWithinMs = 120_000;
const endsWithinMs = 60_000;

/** Boots it; resolves when its systemd says that it is up. */
export async function bootMachine(settings: MachineSettings): Promise<Machine> {
  const { name, address } = settings;
  const own = join(settings.folder, name, 'own');
  for (const each of ['own/etc', 'work', 'root']) await mkdir(join(settings.folder, name, each), { recursive: true });
  await writeFile(join(own, 'etc/hostname'), `${name}\n`);
  const hosts = Object.entries({ localhost: '127.0.0.1', ...settings.hosts });
  await writeFile(join(own, 'etc/hosts'), hosts.map(([host, at]) => `${at} ${host}\n`).join(''));
  let on = await powerOn(settings);
  const file = (path: string) => join(`/proc/${on.first}/root`, path);
  return {
    name,
    address,
    file,
    run: (...args) => on.commands.run(...args),
    feed: (...args) => on.commands.feed(...args),
    start: (...args) => on.commands.start(...args),
    async write(path, text, mode = 0o644) {
      await mkdir(dirname(file(path)), { recursive: true });
      await rm(file(path), { force: true });
      await writeFile(file(path), text, { mode });
    },
    async powerOff() {
      await on.commands.run(['systemctl', 'poweroff']);
      await on.ends();
    },
    async losePower() {
      await on.cut();
      on = await powerOn(settings);
    },
    destroy: () => on.cut(),
  };
}

/** A machine that is on. */
interface PoweredOn {
  /** Its first process, out here. */
  readonly first: number;
  readonly commands: Commands;
  /** Ends it. May be repeated. */
  cut(): Promise<void>;
  /** Resolves when it has ended by itself; it is cut off when it does not. */
  ends(): Promise<void>;
}

async function powerOn({ name, address, base, folder, network }: MachineSettings): Promise<PoweredOn> {
  const group = await makeGroup(`ferry-systemd-${name}`);
  const boot = ['bash', join(import.meta.dirname, 'boot-machine.sh'), join(folder, name), base, group, name];
  const outer = execa('setpriv', ['--pdeathsig', 'KILL', ...boot], {
    reject: false,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ends = async () => {
    const timer = setTimeout(() => outer.kill('SIGKILL'), endsWithinMs);
    await outer;
    clearTimeout(timer);
    if (existsSync(group)) await removeGroup(group);
  };
  const cut = async () => {
    outer.kill('SIGKILL');
    await ends();
  };
  try {
    const first = await firstProcess(outer.pid!, 'systemd');
    await network.connect(first, name, address);
    const commands = commandsIn(first);
    await comesUp(name, commands);
    return { first, commands, cut, ends };
  } catch (error) {
    await cut();
    throw error;
  }
}

async function comesUp(name: string, commands: Commands): Promise<void> {
  let state = '';
  // The bus may not be there yet, of which --wait knows nothing.
  for (const deadline = Date.now() + bootsWithinMs; Date.now() < deadline; await sleep(100)) {
    const wait = ['timeout', String(bootsWithinMs / 1000), 'systemctl', 'is-system-running', '--wait'];
    state = (await commands.run(wait)).output;
    if (/^(running|degraded)/.test(state)) return;
  }
  throw new Error(`${name} does not come up: ${state}`);
}

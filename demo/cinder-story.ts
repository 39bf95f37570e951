import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { Ferry } from '../client/open-ferry.ts';
import { findProgram } from '../setup/find-program.mjs';
import type { Devices } from './devices.ts';
import { glanceAt } from './glance.ts';
import { screen } from './screen.ts';
import { randomMib, storyFrom, storyTo } from './story.ts';

/** The stock `cinder` command, against an API without Keystone. */
export interface CinderCommand {
  /** Shows the command and what it prints; fails when it does. */
  show(...args: string[]): Promise<void>;
  /** Runs it unseen; its table of properties. */
  ask(...args: string[]): Promise<Record<string, string>>;
}

/** What stock clients need to know of an API without Keystone. */
export function clientEnv(apiUrl: string): Record<string, string> {
  return { OS_AUTH_TYPE: 'noauth', CINDER_ENDPOINT: `${apiUrl}/v3`, OS_USER_ID: 'admin', OS_PROJECT_ID: 'admin' };
}

/** `signal` ends what runs, and lets nothing more begin. */
export function cinderCommand(apiUrl: string, signal: AbortSignal): CinderCommand {
  const env = { ...clientEnv(apiUrl), PYTHONWARNINGS: 'ignore' };
  const program = findProgram('cinder');
  if (program === undefined) throw new Error('There is no cinder command here: apt install python3-cinderclient');
  // Debian's Python has it, whatever other is first in the path.
  const python = '/usr/bin/python3';
  return {
    async show(...args) {
      signal.throwIfAborted();
      screen.command('$', ['cinder', ...args]);
      await execa(python, [program, ...args], { env, cancelSignal: signal, stdio: ['ignore', 'inherit', 'inherit'] });
    },
    async ask(...args) {
      const { stdout } = await execa(python, [program, ...args], { env, cancelSignal: signal, stdin: 'ignore' });
      const rows = stdout.matchAll(/^\| (\S+) +\| (.*?) *\|$/gm);
      return Object.fromEntries([...rows].map(([, name, value]) => [name, value]));
    },
  };
}

/** OpenStack's own example of a volume migration, with its own client, as in its documentation. Throws if anything is not as it must be in the end. */
export async function tellCinderStory(cinder: CinderCommand, library: Ferry, devices: Devices): Promise<void> {
  screen.part('1. The back ends, as Cinder shows them');
  await cinder.show('get-pools');

  screen.part(`2. A volume of 1 GiB, with ${randomMib} MiB of random data (5-30 s)`);
  const create = ['create', '--name', 'test', '--description', 'test', '1'];
  screen.command('$', ['cinder', ...create]);
  const { id = '' } = await cinder.ask(...create);
  const made = await until(cinder, id, ({ status }) => status !== 'creating');
  const from = hostOf(made);
  const to = from === storyFrom ? storyTo : storyFrom;
  await devices.fill(from, `volume-${id}`, randomMib);
  const before = await devices.sha256(from, `volume-${id}`);

  screen.part(`3. The volume before: on ${from}, its device named after its id`);
  await cinder.show('show', id);
  await devices.list(from);

  screen.part(`4. Migrate it to ${to}: copy, read back and compare, switch, clean up (15-90 s)`);
  const glance = glanceAt(library, id);
  await cinder.show('migrate', id, to);
  const after = await until(cinder, id, (shown) => shown['os-vol-mig-status-attr:migstat'] === 'None');
  screen.note(`Meanwhile its migstat was ${(await glance.end()).join(', then ')}.`);

  screen.part('5. The volume afterwards: the same id, on the other back end, its device named after name_id');
  await cinder.show('show', id);
  const nameId = after['os-vol-mig-status-attr:name_id'];
  await devices.list(from);
  await devices.list(to);
  const found = await devices.sha256(to, `volume-${nameId}`);
  if (hostOf(after) !== to || found !== before)
    throw new Error(`The volume is on ${hostOf(after)} with the checksum ${found}; before it was ${before}.`);
  screen.good(`\nThe same bytes, ${before}, on ${to}; nothing is left on ${from}.`);
}

/** Without the pool that Cinder's clients are told. */
function hostOf(shown: Record<string, string>): string {
  return (shown['os-vol-host-attr:host'] ?? '').split('#', 1)[0]!;
}

async function until(
  cinder: CinderCommand,
  id: string,
  fits: (shown: Record<string, string>) => boolean,
): Promise<Record<string, string>> {
  for (;;) {
    const shown = await cinder.ask('show', id);
    if (fits(shown)) return shown;
    await sleep(300);
  }
}

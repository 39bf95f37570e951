import { check, comes } from '../../setup/story-checks.ts';
import type { Site } from './site.ts';
import { devices, type Node, placeOf } from './volumes.ts';

interface Record {
  readonly phase: string;
  readonly outcome: string | null;
}

/** The last migration of a volume. */
async function lastMigration(site: Site, id: string): Promise<Record | undefined> {
  const ran = await site.ferry('migration', 'list', '--volume', id, '--json');
  return ran.exitCode === 0 ? (JSON.parse(ran.stdout) as Record[])[0] : undefined;
}

/** Moves a volume slowly, does something in mid-copy, takes the brake off, and looks how it ends. */
export async function migratesSlowly(
  site: Site,
  id: string,
  { to, what, bandwidth, meanwhile }: { to: Node; what: string; bandwidth: string; meanwhile: () => Promise<void> },
): Promise<void> {
  const from = await placeOf(site, id);
  const watcher = ['ferry', 'migrate', id, `${to}@files`, '--bandwidth', bandwidth];
  await site.control.start(watcher, { log: '/var/log/migrate.log' });
  const copies = async () => (await lastMigration(site, id))?.phase === 'copying';
  check(`${what}: it copies`, await comes(copies), (await site.ferry('migration', 'list')).output);
  await meanwhile();
  const still = await lastMigration(site, id);
  check(`${what}: that was in mid-copy`, still?.outcome === null, JSON.stringify(still));
  // A control worker that was killed a moment ago is asked for some seconds before the next one is.
  const hurried = async () => (await site.ferry('migration', 'set-bandwidth', id, 'unlimited')).exitCode === 0;
  check(`${what}: its cap is taken away`, await comes(hurried, 60));
  const ended = async () => typeof (await lastMigration(site, id))?.outcome === 'string';
  await comes(ended, 300);
  const migration = await lastMigration(site, id);
  check(`${what}: it ends well`, migration?.outcome === 'success', JSON.stringify(migration));
  const { node } = await placeOf(site, id);
  check(`${what}: it is on ${to}`, node === to, node);
  const gone = async () => !(await devices(site, from.node)).includes(from.device);
  check(`${what}: its source is gone`, await comes(gone), (await devices(site, from.node)).join('\n'));
}

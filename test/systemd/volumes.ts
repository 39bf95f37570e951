import { check, comes, must } from '../../setup/story-checks.ts';
import type { Site } from './site.ts';

export type Node = 'server1' | 'server2';

/** A volume of 256 MiB with something in it. */
export async function makeVolume(site: Site, name: string, node: Node): Promise<string> {
  const { id } = await site.asked<{ id: string }>(
    'create',
    '--size',
    '256MiB',
    '--name',
    name,
    '--host',
    `${node}@files`,
  );
  const fill = ['dd', 'if=/dev/urandom', `of=${await deviceOf(site, id)}`, 'bs=1M', 'count=256', 'conv=notrunc'];
  await must(site[node].run(fill));
  return id;
}

/** Where a volume is, by the registry. */
export async function placeOf(site: Site, id: string): Promise<{ node: Node; device: string }> {
  const shown = await site.asked<Record<string, string | null>>('show', id);
  const node = shown['os-vol-host-attr:host']?.split('@')[0] as Node;
  return { node, device: `/srv/volumes/volumes/volume-${shown['os-vol-mig-status-attr:name_id'] ?? id}` };
}

async function deviceOf(site: Site, id: string): Promise<string> {
  return (await placeOf(site, id)).device;
}

export async function digestOf(site: Site, id: string): Promise<string> {
  const { node, device } = await placeOf(site, id);
  return (await must(site[node].run(['sha256sum', device]))).split(' ')[0] ?? '';
}

/** The devices that a node has. */
export async function devices(site: Site, node: Node): Promise<string[]> {
  return (await must(site[node].run(['find', '/srv/volumes/volumes', '-type', 'f']))).split('\n').filter(Boolean);
}

/** Moves a detached volume, and looks how that ended. */
export async function moves(site: Site, id: string, to: Node, what: string): Promise<void> {
  const before = await digestOf(site, id);
  const from = (await placeOf(site, id)).device;
  const ran = await site.ferry('migrate', id, `${to}@files`);
  check(`${what}: ferry migrate`, ran.exitCode === 0, ran.output);
  const { node, device } = await placeOf(site, id);
  check(`${what}: it is on ${to}, with the same bytes`, node === to && (await digestOf(site, id)) === before, device);
  const other = to === 'server1' ? 'server2' : 'server1';
  const gone = async () => !(await devices(site, other)).includes(from);
  check(`${what}: its source is gone`, await comes(gone));
}

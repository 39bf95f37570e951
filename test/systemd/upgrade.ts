import { check, must, said } from '../../setup/story-checks.ts';
import { type AttachedGuest, isWhole, slowMirror } from './attached.ts';
import { documented } from './documented.ts';
import { inRelease, type Role } from './install.ts';
import { migratesSlowly } from './slow-move.ts';
import type { Machine } from './machine.ts';
import type { Site } from './site.ts';
import { mainPid } from './units.ts';
import { digestOf, type Node, placeOf } from './volumes.ts';

/** The other release on all machines, control workers first, as docs/installing.md says it. */
async function changeRelease(site: Site, version: '0.1.0' | '0.2.0'): Promise<void> {
  const options = version === '0.1.0' ? '--allow-downgrades ' : '';
  const machines: [Machine, Role][] = [
    [site.control, 'control'],
    [site.server1, 'storage'],
    [site.server2, 'storage'],
    [site.hv1, 'compute'],
  ];
  for (const [machine, role] of machines) {
    const before = await mainPid(machine, `ferry-${role}`);
    const packages = [`./ferry-common_${version}_amd64.deb`, `./ferry-${role}_${version}_amd64.deb`];
    await inRelease(machine, version, `apt-get install ${options}${packages.join(' ')}`);
    if (role === 'control' && version === '0.2.0')
      await must(machine.run(documented('FERRY_DATABASE_URL_FILE=/root/owner-url ferry db migrate')));
    const told = (await must(machine.run(['ferry', '--version']))).trim();
    const main = await mainPid(machine, `ferry-${role}`);
    const well = told === version && main !== 0 && main !== before;
    check(`${machine.name}: ${version} runs, its worker was started anew`, well, `${told}, ${before}, ${main}`);
  }
}

/** All machines get the other release while a guest's volume and a detached one move; neither notices. */
export async function changeInMidCopy(
  site: Site,
  version: '0.1.0' | '0.2.0',
  moving: { volume: string; guest: AttachedGuest },
): Promise<void> {
  const { volume, guest } = moving;
  said(`${version === '0.1.0' ? 'back to' : 'an upgrade to'} ${version}, in mid-copy`);
  const before = await digestOf(site, volume);
  const other = async (id: string): Promise<Node> =>
    (await placeOf(site, id)).node === 'server1' ? 'server2' : 'server1';
  const servers = await exportsOf(site);
  await migratesSlowly(site, volume, {
    to: await other(volume),
    what: 'a detached volume',
    bandwidth: '1MiB/s',
    meanwhile: async () =>
      migratesSlowly(site, guest.id, {
        to: await other(guest.id),
        what: 'an attached volume',
        bandwidth: slowMirror,
        async meanwhile() {
          await changeRelease(site, version);
          const kept = (await exportsOf(site)).filter((each) => servers.includes(each));
          check(
            'the export of the guest has outlived that',
            servers.length > 0 && kept.length === servers.length,
            servers.join(),
          );
        },
      }),
  });
  check('the detached volume has the same bytes', (await digestOf(site, volume)) === before);
  await isWhole(site, guest);
}

/** The export servers that run on the storage nodes. */
async function exportsOf(site: Site): Promise<string[]> {
  const nodes = [site.server1, site.server2];
  const found = nodes.map(async (node) => {
    const { stdout } = await node.run(['pgrep', '-x', 'qemu-nbd']);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((pid) => `${node.name}: ${pid}`);
  });
  return (await Promise.all(found)).flat();
}

import { check, comes, must, said } from '../../setup/story-checks.ts';
import { type AttachedGuest, isWhole } from './attached.ts';
import { documented } from './documented.ts';
import { sql } from './servers.ts';
import type { Site } from './site.ts';
import { digestOf, makeVolume, moves, placeOf } from './volumes.ts';

/** The registry is lost, and restored from a backup that knows nothing of a volume, and another's old place. */
export async function restoreRegistry(site: Site, { volume, guest }: { volume: string; guest: AttachedGuest }) {
  said('the registry is restored from a backup');
  const { control } = site;
  const run = (command: string) => must(control.run(documented(command)));
  await run('runuser -u postgres -- pg_dump --format=custom --file=/var/lib/postgresql/ferry.dump ferry');
  const old = await placeOf(site, volume);
  await moves(site, volume, old.node === 'server1' ? 'server2' : 'server1', 'after the backup, a volume');
  const made = await makeVolume(site, 'made-after-the-backup', 'server1');
  const [place, digest, madeDigest] = [
    await placeOf(site, volume),
    await digestOf(site, volume),
    await digestOf(site, made),
  ];

  // As by a newer release: the older one refuses to work with that, until the registry is restored.
  await sql(control, ['INSERT INTO schema_versions SELECT max(version) + 1 FROM schema_versions'], 'ferry');
  const refuses = await control.run(['systemctl', 'restart', 'ferry-control']);
  const log = (await control.run(['journalctl', '--unit', 'ferry-control', '--no-pager', '--lines=10'])).output;
  check('a worker refuses a newer schema', refuses.exitCode !== 0 && /knows only/.test(log), log);

  await run('systemctl stop ferry-control');
  await run('runuser -u postgres -- pg_restore --clean --if-exists --dbname=ferry /var/lib/postgresql/ferry.dump');
  await run('FERRY_DATABASE_URL_FILE=/root/owner-url ferry db migrate');
  await run('systemctl start ferry-control');
  check('the registry is from before', (await placeOf(site, volume)).device === old.device);
  const early = await site.ferry('delete', volume);
  const sees = async () => (await must(control.run(documented('ferry repair --dry-run')))).includes(volume);
  check('what the devices say is seen', await comes(sees), (await site.ferry('repair', '--dry-run')).output);
  check('and nothing is deleted meanwhile', early.exitCode !== 0, early.output);
  await run('ferry repair');
  const back = async () => {
    const [moved, found] = await Promise.all([placeOf(site, volume), site.ferry('show', made)]);
    return moved.device === place.device && moved.node === place.node && found.exitCode === 0;
  };
  check('ferry repair takes their word', await comes(back), (await site.ferry('repair', '--dry-run')).output);
  check('the moved volume has its bytes', (await digestOf(site, volume)) === digest);
  check('the new volume has its bytes', (await digestOf(site, made)) === madeDigest);
  await isWhole(site, guest);
}

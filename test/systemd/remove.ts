import { check, must, said } from '../../setup/story-checks.ts';
import { documented } from './documented.ts';
import { noQuestions } from './servers.ts';
import type { Role } from './install.ts';
import type { Host, Site } from './site.ts';

/** Whatever has Ferry's name, but for what its operator made. */
const lookForFiles = [
  ...['find', '/etc', '/usr', '/lib', '/var/lib', '/run', '/opt', '-xdev', '-iname', '*ferry*'],
  ...['-not', '-path', '/etc/pki/*', '-not', '-path', '/var/lib/postgresql/*'],
];

/** Removes and purges all packages; nothing of Ferry may be left on any machine. */
export async function removeAll(site: Site): Promise<void> {
  said('everything is removed');
  const roles: [Host, Role][] = [
    ['hv1', 'compute'],
    ['server1', 'storage'],
    ['server2', 'storage'],
    ['control', 'control'],
  ];
  for (const [name, role] of roles) {
    const machine = site[name];
    // Where its folder of volumes was allowed.
    if (role === 'storage') await must(machine.run(documented('systemctl revert ferry-storage')));
    await must(machine.run(documented(`apt-get remove ferry-${role}`), noQuestions));
    const unit = (await machine.run(['systemctl', 'is-active', `ferry-${role}`])).output;
    check(`${name}: removed, its worker has stopped`, unit === 'inactive', unit);
    await must(machine.run(documented('apt-get purge "ferry-*"'), noQuestions));
    const status = ['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\\n'];
    const packages = (await must(machine.run(status))).split('\n');
    const left = packages.filter((each) => each.startsWith('ferry') && !each.endsWith('not-installed'));
    const files = (await must(machine.run(lookForFiles))).split('\n');
    const running = (await machine.run(['pgrep', '-a', '-f', '/usr/lib/ferry|qemu-nbd'])).output;
    const wrong = [...left, ...files, running].filter(Boolean);
    check(`${name}: nothing of Ferry is left`, wrong.length === 0, wrong.join('\n'));
  }
}

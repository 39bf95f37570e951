import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Makes a group of the v2 hierarchy, which ends with this process's run: `removeGroup`, or at the latest when the next one of that name is made
 * after this process was killed.
 */
export async function makeGroup(name: string): Promise<string> {
  const hierarchy = await unifiedHierarchy();
  for (const each of await readdir(hierarchy)) {
    const [, pid] = new RegExp(`^${name}-(\\d+)$`).exec(each) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeGroup(join(hierarchy, each));
  }
  const group = join(hierarchy, `${name}-${process.pid}`);
  await mkdir(group, { recursive: true });
  return group;
}

/** And all below it. A group can be removed a moment after its last process. */
export async function removeGroup(group: string): Promise<void> {
  const below = await readdir(group, { recursive: true, withFileTypes: true });
  const groups = below.filter((each) => each.isDirectory()).map((each) => join(each.parentPath, each.name));
  for (const each of [...groups.toSorted((a, b) => b.length - a.length), group]) {
    for (let tries = 0; ; tries += 1) {
      try {
        await rmdir(each);
        break;
      } catch (error) {
        if (tries === 100) throw error;
        await sleep(100);
      }
    }
  }
}

/** Where groups of the second version are: on some machines beside those of the first. */
async function unifiedHierarchy(): Promise<string> {
  const [, place] = /^\S+ (\S+) cgroup2 /m.exec(await readFile('/proc/mounts', 'utf8')) ?? [];
  if (place === undefined) throw new Error('This needs cgroup2, and it is not mounted here.');
  return place;
}

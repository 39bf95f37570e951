import * as z from 'zod';

/** A package as package-lock.json has it; its key is its folder. */
const lockedPackage = z.looseObject({
  version: z.string().optional(),
  license: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
  peerDependencies: z.record(z.string(), z.string()).optional(),
  peerDependenciesMeta: z.record(z.string(), z.looseObject({ optional: z.boolean().optional() })).optional(),
});
export type LockedPackage = z.infer<typeof lockedPackage>;

export const lockfile = z.looseObject({
  lockfileVersion: z.literal(3),
  packages: z.record(z.string(), lockedPackage),
});
export type Lockfile = z.infer<typeof lockfile>;

/**
 * The folders of all packages that the named ones need, themselves included, found as Node finds them: nested ones first. `without` are
 * neither taken nor followed. What is optional and not in the lock file is no error.
 */
export function closure(lock: Lockfile, names: readonly string[], without: ReadonlySet<string> = new Set()): string[] {
  const found = new Set<string>();
  const waiting = names.map((name) => ({ from: '', name, isOptional: false }));
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (without.has(next.name)) continue;
    const folder = folderOf(lock, next.from, next.name);
    if (folder === null) {
      if (next.isOptional) continue;
      throw new Error(`package-lock.json has no ${next.name}, which ${next.from || 'package.json'} needs`);
    }
    if (found.has(folder)) continue;
    found.add(folder);
    const entry = lock.packages[folder]!;
    const needs = (wanted: Record<string, string> | undefined, isOptional: (name: string) => boolean) =>
      Object.keys(wanted ?? {}).map((name) => ({ from: folder, name, isOptional: isOptional(name) }));
    waiting.push(
      ...needs(entry.dependencies, () => false),
      ...needs(entry.optionalDependencies, () => true),
      ...needs(entry.peerDependencies, (name) => entry.peerDependenciesMeta?.[name]?.optional === true),
    );
  }
  return [...found].toSorted();
}

/** Where Node finds `name` from a package's folder: in its own node_modules, or in one further up. */
function folderOf(lock: Lockfile, from: string, name: string): string | null {
  for (let folder = from; ;) {
    const candidate = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (lock.packages[candidate]) return candidate;
    if (folder === '') return null;
    const outer = folder.lastIndexOf('/node_modules/');
    folder = outer < 0 ? '' : folder.slice(0, outer);
  }
}

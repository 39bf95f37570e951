import { storageMark, type StorageMark } from '../../../model/storage-identity.ts';

const [storage, registry, backEnd] = ['ferry.storage=', 'ferry.registry=', 'ferry.back-end='] as const;

/** Ferry's mark, as tags of a volume group or of a thin pool. lvm2's tags have no `@`. */
export function markTags(mark: StorageMark): string[] {
  return [`${storage}${mark.id}`, `${registry}${mark.registry}`, `${backEnd}${mark.backEnd.replace('@', '/')}`];
}

/** The mark in these tags; null when there is none, or parts of several: two groups were merged. */
export function markIn(tags: readonly string[]): StorageMark | null {
  const values = (prefix: string) =>
    tags.filter((tag) => tag.startsWith(prefix)).map((tag) => tag.slice(prefix.length));
  const [ids, registries, names] = [values(storage), values(registry), values(backEnd)];
  if (ids.length !== 1 || registries.length !== 1) return null;
  const mark = { id: ids[0], registry: registries[0], backEnd: (names[0] ?? '').replace('/', '@') };
  return storageMark.safeParse(mark).data ?? null;
}

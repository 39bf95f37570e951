import * as z from 'zod';

/** What Ferry writes into a back end's storage at its first use. */
export const storageMark = z.object({
  /** No other storage ever gets it. */
  id: z.uuid(),
  /** The Ferry that it belongs to, by its registry's identity. */
  registry: z.uuid(),
  /** The back end's name when it was written: for people only, who may rename it. */
  backEnd: z.string(),
});
export type StorageMark = z.infer<typeof storageMark>;

/** What a storage tells of itself. */
export const storageSeen = z.object({
  mark: storageMark.nullable(),
  /** What the system knows it by: the UUID of a volume group, and that of the pool in it. Null for directories. */
  uuid: z.string().nullable(),
  /** Where the file system is mounted that a directory is on; null for others, and where nobody asked. */
  mountPoint: z.string().nullable(),
  /** Grows with every change of a volume group; null where nothing counts. */
  sequence: z.number().int().nullable(),
});
export type StorageSeen = z.infer<typeof storageSeen>;

/** The storage of a back end as the registry knows it. */
export const knownStorage = z.object({
  /** The registry's own identity. */
  registry: z.uuid(),
  /** Null: it has not been marked yet. */
  identity: z.uuid().nullable(),
  uuid: z.string().nullable(),
  mountPoint: z.string().nullable(),
  sequence: z.number().int().nullable(),
});
export type KnownStorage = z.infer<typeof knownStorage>;

/** Devices in a storage, beside those that the registry has on the back end. */
export const storageContents = z.object({
  /** Those of the registry that are there. */
  matched: z.number().int(),
  /** Those of the registry that are not there; names. */
  missing: z.array(z.string()),
  /** Volumes' devices of a Ferry that the registry does not have there; names. */
  unknown: z.array(z.string()),
});
export type StorageContents = z.infer<typeof storageContents>;

/** What is there in the place of a back end's storage. */
export const foundStorage = z.object({ seen: storageSeen, contents: storageContents, why: z.string() });
export type FoundStorage = z.infer<typeof foundStorage>;

/** An operator's word that what was found is a back end's storage from now on, under a new identity. */
export const storageAdoption = z.object({ id: z.uuid(), instead: storageSeen, requestedBy: z.string() });
export type StorageAdoption = z.infer<typeof storageAdoption>;

/** Why what is seen is not the storage that the registry knows; null when it is. `holder`: the back end that has the mark that is seen. */
export function storageDifference(known: KnownStorage, seen: StorageSeen, holder: string | null): string | null {
  const { mark } = seen;
  if (!mark)
    return known.identity === null
      ? 'it is not known yet what is there'
      : "Ferry's mark is not in it: it is not mounted, was made anew, or another one is in its place";
  if (mark.registry !== known.registry)
    return `it belongs to another Ferry, as its back end ${mark.backEnd} (registry ${mark.registry})`;
  if (mark.id !== known.identity)
    return holder === null
      ? `it is marked as back end ${mark.backEnd}, by a mark that the registry does not know`
      : `it is the storage of back end ${holder}`;
  if (known.uuid !== null && seen.uuid !== known.uuid)
    return `it has the UUID ${seen.uuid} instead of ${known.uuid}: a copy, or made anew from an image`;
  if (known.sequence !== null && seen.sequence !== null && seen.sequence < known.sequence)
    return `it went back from change ${known.sequence} to ${seen.sequence}: it was restored from an image or a backup`;
  return null;
}

/**
 * Whether a storage that is not known may be taken for the back end's without asking anybody, or why not. It may at its first use, when
 * nothing of a Ferry's is in it, or what the registry has there; and when a file system has been mounted over the bare directory of a back
 * end that has nothing.
 */
export function reasonNotToTake(
  backEnd: string,
  known: KnownStorage,
  found: { seen: StorageSeen; contents: StorageContents; holder: string | null },
): string | null {
  const { seen, contents, holder } = found;
  const { matched, missing, unknown } = contents;
  const different = storageDifference(known, seen, holder);
  if (different === null) return null;
  if (seen.mark) {
    // Written at the first use, but its worker died before it told the registry.
    const unfinished = known.identity === null && holder === null && seen.mark.backEnd === backEnd;
    return unfinished && seen.mark.registry === known.registry ? null : different;
  }
  if (missing.length > 0 && matched === 0)
    return `none of the ${missing.length} devices that the registry has on it is there`;
  if (missing.length + matched === 0 && unknown.length > 0)
    return `it holds volumes of a Ferry that this registry does not know: ${some(unknown)}`;
  if (known.identity === null) return null;
  return matched + missing.length === 0 && isMountedOver(known, seen) ? null : different;
}

/** What an operator must say yes to before what was found becomes the back end's storage; empty when nothing can be lost. */
export function adoptionRisks(known: KnownStorage, { seen, contents }: FoundStorage): string[] {
  const { missing, unknown } = contents;
  const risks: string[] = [];
  if (missing.length > 0)
    risks.push(`${missing.length} devices that the registry has on it are not there: ${some(missing)}`);
  if (unknown.length > 0) risks.push(`it holds volumes that the registry does not have on it: ${some(unknown)}`);
  if (seen.mark && seen.mark.registry !== known.registry)
    risks.push(
      `it belongs to another Ferry, as its back end ${seen.mark.backEnd}: that one cannot use it any more afterwards`,
    );
  else if (seen.mark && seen.mark.id !== known.identity)
    risks.push(`it is marked as the storage of ${seen.mark.backEnd}, which cannot use it any more afterwards`);
  if (known.sequence !== null && seen.sequence !== null && seen.sequence < known.sequence)
    risks.push(`it was restored from an image or a backup: its volumes may hold older bytes`);
  return risks;
}

/** Whether a file system is mounted now where there was none, at the directory or above it. */
function isMountedOver(known: KnownStorage, seen: StorageSeen): boolean {
  const [before, now] = [known.mountPoint, seen.mountPoint];
  return before !== null && now !== null && now !== before && now.startsWith(before === '/' ? before : `${before}/`);
}

/** The first few names, and how many more there are. */
function some(names: readonly string[]): string {
  const told = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${told} and ${names.length - 5} more` : told;
}

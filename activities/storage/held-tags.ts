const prefixes = { held: 'ferry.held=', woken: 'ferry.woken=', mode: 'ferry.mode=' } as const;

/** On a device that Ferry made read-only for this migration: only such a one is made writable again. */
export const heldTag = (migrationId: string): string => `${prefixes.held}${migrationId}`;

/** On a logical volume that was inactive when this migration came, and is to be so again if it comes to nothing. */
export const wokenTag = (migrationId: string): string => `${prefixes.woken}${migrationId}`;

/** What the permissions of a held file were, in octal. */
export const modeTag = (mode: number): string => `${prefixes.mode}${mode.toString(8)}`;

export function heldBy(tags: readonly string[]): string | null {
  return tags.find((tag) => tag.startsWith(prefixes.held))?.slice(prefixes.held.length) ?? null;
}

export function modeBefore(tags: readonly string[]): number | null {
  const tag = tags.find((each) => each.startsWith(prefixes.mode));
  return tag === undefined ? null : Number.parseInt(tag.slice(prefixes.mode.length), 8);
}

/** The tags of a hold; with `migrationId`, of that one's only. */
export function holdTags(tags: readonly string[], migrationId: string | null = null): string[] {
  if (migrationId !== null && heldBy(tags) !== migrationId) return tags.filter((tag) => tag === wokenTag(migrationId));
  return tags.filter((tag) => Object.values(prefixes).some((prefix) => tag.startsWith(prefix)));
}

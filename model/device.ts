import * as z from 'zod';
import type { Reason } from './errors.ts';
import { tenantId } from './ids.ts';
import { label } from './text.ts';

/**
 * What a device says of itself, by its tags. A device from before there were roles has none: its other tags tell.
 * `incoming`: a migration fills it, or, where it has no migration's tag, what its volume is made from: its bytes prove nothing. `live`: it holds its volume, or did until another of a higher generation
 * took its place. `retired`: its volume has left it for good, it is being deleted. `kept`: its volume has left it, and may go back.
 */
export const deviceRoles = ['incoming', 'live', 'retired', 'kept'] as const;
export type DeviceRole = (typeof deviceRoles)[number];

/** A device's standing among those of its volume. */
export interface DeviceStanding {
  volumeId: string | null;
  role: DeviceRole;
  /** Of the volume's devices that are live, the one of the highest generation holds it. 0: it was made with the volume. */
  generation: number;
  /** The migration that made it and is not over, as far as the device tells. */
  migrationId: string | null;
  /** The migration by which its volume left it: that keeps it, or that deletes it. */
  keptBy: string | null;
  retiredBy: string | null;
}

const prefixes = {
  volumeId: 'ferry.volume=',
  migrationId: 'ferry.migration=',
  keptBy: 'ferry.kept=',
  retiredBy: 'ferry.retired=',
  tenantId: 'ferry.tenant=',
  name: 'ferry.name=',
  volumeType: 'ferry.type=',
  role: 'ferry.role=',
  generation: 'ferry.generation=',
} as const;

/** Tag on every device that belongs to a Ferry volume. */
export function volumeTag(volumeId: string): string {
  return `${prefixes.volumeId}${volumeId}`;
}

/** Tag on a device that a migration made; taken off when the migration is complete. No other device ever has it. */
export function migrationTag(migrationId: string): string {
  return `${prefixes.migrationId}${migrationId}`;
}

/** Tag, beside its volume's, on a device that its volume has left by that migration, and that is kept for a while. */
export function keptTag(migrationId: string): string {
  return `${prefixes.keptBy}${migrationId}`;
}

/** Tag, beside its volume's, on a device that its volume has left by that migration, and that is being deleted. */
export function retiredTag(migrationId: string): string {
  return `${prefixes.retiredBy}${migrationId}`;
}

/** Tag on the device of a snapshot. */
export function snapshotTag(snapshotId: string): string {
  return `ferry.snapshot=${snapshotId}`;
}

export function roleTag(role: DeviceRole): string {
  return `${prefixes.role}${role}`;
}

export function generationTag(generation: number): string {
  return `${prefixes.generation}${generation}`;
}

const unzeroedPrefix = 'ferry.unzeroed=';

/** Tag on a device while it grows: from that byte on it may show what was on the disk before. */
export function unzeroedTag(fromByte: number): string {
  return `${unzeroedPrefix}${fromByte}`;
}

/** Tag on a device that is made, until all of it was zeroed. */
export const zeroingTag = 'ferry.zeroing';

/** Whether a device may show what was on the disk before. */
export function isUnzeroed(tags: readonly string[]): boolean {
  return tags.includes(zeroingTag) || unzeroedFrom(tags) !== null;
}

/** From which byte on a device may show what was on the disk before; null: nowhere. */
export function unzeroedFrom(tags: readonly string[]): number | null {
  const tag = tags.find((each) => each.startsWith(unzeroedPrefix));
  return tag === undefined ? null : Number(tag.slice(unzeroedPrefix.length));
}

/** The tags of a volume's device that is made with the volume, or adopted. */
export function liveTags(volumeId: string, generation = 0): string[] {
  return [volumeTag(volumeId), roleTag('live'), generationTag(generation)];
}

/** The tags of a volume's device while its first bytes are copied onto it. */
export function fillingTags(volumeId: string): string[] {
  return [volumeTag(volumeId), roleTag('incoming'), generationTag(0)];
}

/** The tags of a device that a migration makes. */
export function incomingTags(volumeId: string, migrationId: string, generation: number): string[] {
  return [volumeTag(volumeId), migrationTag(migrationId), roleTag('incoming'), generationTag(generation)];
}

/** What of a volume's row is kept on its device, so that the row can be written anew when the registry has lost it. */
export interface VolumeLabels {
  tenantId: string | null;
  name: string | null;
  volumeType: string | null;
}

/** The longest tag that every back end takes. */
const longestTag = 255;

export function labelTags({ tenantId, name, volumeType }: VolumeLabels): string[] {
  return [
    ...(tenantId === null ? [] : [`${prefixes.tenantId}${tenantId}`]),
    ...(name === null ? [] : [`${prefixes.name}${asTag(name)}`]),
    ...(volumeType === null ? [] : [`${prefixes.volumeType}${asTag(volumeType)}`]),
  ].filter((tag) => tag.length <= longestTag);
}

/** The reverse; null for what the tags do not tell. */
export function labelsOf(tags: readonly string[]): VolumeLabels {
  const tagged = taggedIn(tags);
  return {
    tenantId: tenantId.safeParse(tagged(prefixes.tenantId)).data ?? null,
    name: label.safeParse(fromTag(tagged(prefixes.name))).data ?? null,
    volumeType: label.safeParse(fromTag(tagged(prefixes.volumeType))).data ?? null,
  };
}

/** What follows a prefix in the first of the tags that has it. */
function taggedIn(tags: readonly string[]): (prefix: string) => string | null {
  return (prefix) => tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length) ?? null;
}

/** What Ferry writes as an id: lower case. */
const writtenId = z.uuid().lowercase();

/** The first id that follows a prefix. Anybody may put a tag on a device: what is no id tells nothing, and must not reach who asks for one. */
function idIn(tags: readonly string[], prefix: string): string | null {
  const ids = tags.filter((tag) => tag.startsWith(prefix)).map((tag) => tag.slice(prefix.length));
  return ids.find((id) => asId(id) !== null) ?? null;
}

/** The text, if it is an id as Ferry writes one. */
export function asId(text: string | null): string | null {
  return writtenId.safeParse(text).data ?? null;
}

/** Tags are made of few signs: all others are written as `+` and two hexadecimal digits a byte. */
function asTag(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[~*'()]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%', '+');
}

function fromTag(tag: string | null): string | null {
  if (tag === null) return null;
  try {
    return decodeURIComponent(tag.replaceAll('+', '%'));
  } catch {
    return null;
  }
}

/** What a device with these tags is. */
export function standingOf(tags: readonly string[]): DeviceStanding {
  const told = taggedIn(tags)(prefixes.role);
  const known = {
    volumeId: idIn(tags, prefixes.volumeId),
    migrationId: idIn(tags, prefixes.migrationId),
    keptBy: idIn(tags, prefixes.keptBy),
    retiredBy: idIn(tags, prefixes.retiredBy),
  };
  const generation = Number(taggedIn(tags)(prefixes.generation) ?? 0);
  return {
    ...known,
    role: deviceRoles.find((role) => role === told) ?? roleBefore(known),
    generation: Number.isSafeInteger(generation) && generation >= 0 ? generation : 0,
  };
}

/** Of a device from before there were roles. */
function roleBefore({ migrationId, keptBy, retiredBy }: Pick<DeviceStanding, 'migrationId' | 'keptBy' | 'retiredBy'>) {
  if (migrationId !== null) return 'incoming';
  if (retiredBy !== null) return 'retired';
  return keptBy === null ? 'live' : 'kept';
}

/** The tags that tell of a role and what goes with it: all come off when another one is put on. */
export function isStandingTag(tag: string): boolean {
  const { role, generation, migrationId, keptBy, retiredBy } = prefixes;
  return [role, generation, migrationId, keptBy, retiredBy].some((prefix) => tag.startsWith(prefix));
}

/** What the registry says of the device that holds a volume. */
export interface LiveDevice {
  volumeId: string;
  /** Not known for volumes from before identities were. */
  identity?: string | null | undefined;
  generation: number;
}

/**
 * Why this device is not the one that the registry means; null when it is. One of a higher generation than the registry knows of, or one
 * that says that its volume has left it, tells of a registry that is behind: nothing may be done to it before the repair.
 */
export function reasonNotLive(
  device: { name: string; tags: readonly string[]; identity: string },
  live: LiveDevice,
): Reason | null {
  const standing = standingOf(device.tags);
  const reason = (type: Reason['type'], why: string): Reason => ({
    type,
    message: `${device.name}: ${why}. See: ferry repair --dry-run`,
    details: { name: device.name, identity: device.identity, ...standing },
  });
  if (standing.volumeId !== live.volumeId)
    return reason('NotOwned', `it does not carry the tag ${volumeTag(live.volumeId)}`);
  if (live.identity != null && device.identity !== live.identity)
    return reason('WrongDevice', `it is another device (${device.identity}) than the registry's (${live.identity})`);
  if (standing.role !== 'live')
    return reason('NeedsRepair', `the registry says that it holds the volume; it is ${standing.role}`);
  if (standing.generation > live.generation)
    return reason(
      'NeedsRepair',
      `it is of generation ${standing.generation}, the registry knows only ${live.generation}: it is behind`,
    );
  if (standing.generation < live.generation)
    return reason(
      'NeedsRepair',
      `it is of generation ${standing.generation}, the volume by the registry of ${live.generation}: it is an older copy`,
    );
  return null;
}

/** Whether it is the registry's device, and what was copied onto it outside of a migration never came to its end. */
export function isHalfFilled(device: { tags: readonly string[]; identity: string }, live: LiveDevice): boolean {
  const { volumeId, role, generation, migrationId } = standingOf(device.tags);
  const isRegistrys = volumeId === live.volumeId && generation === live.generation;
  return (
    isRegistrys && role === 'incoming' && migrationId === null && device.identity === (live.identity ?? device.identity)
  );
}

/** What is said of the device that holds a volume now, after it was asked. */
export interface LiveProof {
  backEnd: string;
  deviceName: string;
  identity: string;
  generation: number;
  sizeBytes: number;
  /** By Postgres' clock, ISO 8601. */
  provenAt: string;
}

/** Where a volume is by the registry's word. `identity`: null when it is not known. */
export type Whereabouts =
  | {
      state: 'there';
      backEnd: string;
      deviceName: string;
      identity: string | null;
      generation: number;
      sizeBytes: number;
      /** Of the migration that was asked about: its epoch, and where it took the volume away. Null: none, or not known. */
      left?: { epoch: number; backEnd: string } | null;
    }
  | { state: 'deleted' }
  | { state: 'unknown' };

/** A proof counts for so long: what has waited for a node for longer is proven anew. Seconds. */
export const proofSeconds = 120;

import type { Reason } from './errors.ts';
import { gib, sizeWords } from './sizes.ts';

/** What a tenant may be limited in, whatever the type of its volumes. Of the last four Ferry has none; Cinder's clients set them. */
export const quotaResources = [
  'volumes',
  'snapshots',
  'gigabytes',
  'per_volume_gigabytes',
  'backups',
  'backup_gigabytes',
  'groups',
] as const;

/** What a tenant may be limited in for each type: `volumes_<type>`, ... */
export const typeQuotaResources = ['volumes', 'gigabytes', 'snapshots'] as const;

/** No limit. */
export const unlimited = -1;

/** The highest limit that Cinder's clients can tell. */
export const highestLimit = 0x7fffffff;

/** The limit's name for a type. */
export function typeQuota(resource: (typeof typeQuotaResources)[number], volumeType: string): string {
  return `${resource}_${volumeType}`;
}

/** By the limit's name; what is not there is not limited. */
export type QuotaLimits = Readonly<Record<string, number>>;

/** What is there, of one type or of all. `reserved`: what operations that are under way will add. */
export interface Holding {
  volumes: number;
  snapshots: number;
  /** Of volumes and snapshots. */
  bytes: number;
  reservedVolumes: number;
  reservedBytes: number;
}

/** What a tenant has: in all, and by type. */
export interface TenantUse {
  total: Holding;
  types: Readonly<Record<string, Holding>>;
}

export const nothing: Holding = { volumes: 0, snapshots: 0, bytes: 0, reservedVolumes: 0, reservedBytes: 0 };

/** What somebody wants to add. */
export interface QuotaNeed {
  volumes?: number;
  snapshots?: number;
  /** Of volumes and snapshots. */
  bytes?: number;
  /** What the volume will have, where one is made, extended or taken. */
  volumeBytes?: number;
  volumeType: string | null;
  /** What only the type counts: a volume gets another type. */
  onlyType?: boolean;
  /** What is there includes it already. */
  counted?: boolean;
}

/** How much of a limit is used: numbers, or whole GiB, rounded up. */
export interface QuotaUsage {
  limit: number;
  inUse: number;
  reserved: number;
}

const wholeGib = (bytes: number) => Math.ceil(bytes / gib);

/** Every limit that there is, with what is used of it: those of all volumes, and three for each of the types. */
export function quotaUsage(limits: QuotaLimits, use: TenantUse, types: readonly string[]): Record<string, QuotaUsage> {
  const limitOf = (resource: string) => limits[resource] ?? unlimited;
  const counted = (h: Holding): Record<string, [number, number]> => ({
    volumes: [h.volumes, h.reservedVolumes],
    snapshots: [h.snapshots, 0],
    gigabytes: [wholeGib(h.bytes), wholeGib(h.reservedBytes)],
  });
  const row = (resource: string, [inUse, reserved]: [number, number] = [0, 0]): [string, QuotaUsage] => [
    resource,
    { limit: limitOf(resource), inUse, reserved },
  ];
  const total = counted(use.total);
  return Object.fromEntries([
    ...quotaResources.map((resource) => row(resource, total[resource])),
    ...types.flatMap((type) => {
      const ofType = counted(use.types[type] ?? nothing);
      return typeQuotaResources.map((resource) => row(typeQuota(resource, type), ofType[resource]));
    }),
  ]);
}

/** Why a tenant may not have so much more; null when it may. What makes nothing more is never refused, however much there is. */
export function reasonOverQuota(limits: QuotaLimits, use: TenantUse, need: QuotaNeed): Reason | null {
  const { volumeType, onlyType = false } = need;
  const ofType = volumeType === null ? null : (use.types[volumeType] ?? nothing);
  const all = onlyType ? null : (perVolume(limits, need) ?? overIn(limits, (r) => r, use.total, need));
  if (all || !ofType || volumeType === null) return all;
  return overIn(limits, (r) => typeQuota(r, volumeType), ofType, need);
}

function perVolume(limits: QuotaLimits, { volumeBytes = 0 }: QuotaNeed): Reason | null {
  const limit = limits['per_volume_gigabytes'] ?? unlimited;
  if (limit === unlimited || volumeBytes <= limit * gib) return null;
  return {
    type: 'QuotaExceeded',
    message: `Requested volume size ${sizeWords(volumeBytes)} is larger than maximum allowed limit ${limit} GiB.`,
    details: { resource: 'per_volume_gigabytes', limit, requestedBytes: volumeBytes },
  };
}

function overIn(
  limits: QuotaLimits,
  named: (resource: (typeof typeQuotaResources)[number]) => string,
  held: Holding,
  need: QuotaNeed,
): Reason | null {
  const { volumes = 0, snapshots = 0, bytes = 0, counted = false } = need;
  const before = (used: number, wanted: number) => (counted ? used - wanted : used);
  return (
    tooMany(limits, named('volumes'), before(held.volumes + held.reservedVolumes, volumes), volumes, 'volumes') ??
    tooMany(limits, named('snapshots'), before(held.snapshots, snapshots), snapshots, 'snapshots') ??
    tooLarge(limits, named('gigabytes'), before(held.bytes + held.reservedBytes, bytes), bytes)
  );
}

function tooMany(limits: QuotaLimits, resource: string, used: number, wanted: number, what: string): Reason | null {
  const limit = limits[resource] ?? unlimited;
  if (limit === unlimited || wanted <= 0 || used + wanted <= limit) return null;
  return {
    type: 'QuotaExceeded',
    message: `Maximum number of ${what} allowed (${limit}) exceeded for quota '${resource}'.`,
    details: { resource, limit, used, requested: wanted },
  };
}

function tooLarge(limits: QuotaLimits, resource: string, used: number, wanted: number): Reason | null {
  const limit = limits[resource] ?? unlimited;
  if (limit === unlimited || wanted <= 0 || used + wanted <= limit * gib) return null;
  return {
    type: 'QuotaExceeded',
    message: `Requested volume or snapshot exceeds allowed ${resource} quota. Requested ${sizeWords(wanted)}, quota is ${limit} GiB and ${used === 0 ? '0 GiB' : sizeWords(used)} has been consumed.`,
    details: { resource, limit, usedBytes: used, requestedBytes: wanted },
  };
}

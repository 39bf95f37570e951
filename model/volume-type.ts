import * as z from 'zod';
import type { Reason } from './errors.ts';
import { label } from './text.ts';

/** What a volume type is called. */
export const volumeTypeName = label.min(1, 'is empty');

/** What a capability is called: of a back end that has it. */
export const capabilityKey = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/, 'is not the name of a capability (letters, digits, "_", ".", "-")');

/** What a type asks for: a capability, with or without the scope `capabilities:`; or what another scope keeps with the type. */
export const specKey = z
  .string()
  .regex(
    /^[A-Za-z0-9_.:-]{1,255}$/,
    'is not the name of what a type may ask for (letters, digits, "_", ".", "-", and ":" after a scope)',
  );

const capabilityValue = label.min(1, 'is empty').regex(/^(?!<)/, 'begins with "<": operators are not known here');

/** Capabilities, as a back end has them or a type asks for them. Compared letter by letter. */
export const capabilities = z.record(capabilityKey, capabilityValue);
export type Capabilities = Readonly<Record<string, string>>;

/** What a type asks for, and keeps. */
export const extraSpecs = z.record(specKey, capabilityValue);

const ownScope = 'capabilities:';

/** What of a type's specs is asked of back ends: `capabilities:` is no scope, what has another one is not for them. */
function askedOf(specs: Capabilities): [string, string][] {
  return Object.entries(specs).flatMap(([key, value]): [string, string][] => {
    if (key.startsWith(ownScope)) return [[key.slice(ownScope.length), value]];
    return key.includes(':') ? [] : [[key, value]];
  });
}

/** A volume type's row in the registry. */
export const volumeType = z.object({
  id: z.uuid(),
  /** Volumes name their type by it; it may be changed, and theirs with it. */
  name: z.string(),
  description: z.string().nullable(),
  /** The capabilities that a back end must have to hold a volume of the type: all of them, with just these values. */
  extraSpecs: z.record(z.string(), z.string()),
  /** A type that is not is for those tenants only that have access to it. */
  isPublic: z.boolean(),
  createdAt: z.date(),
});
export type VolumeType = z.infer<typeof volumeType>;

/** A type, as far as it decides where a volume may be. */
export type Asking = Pick<VolumeType, 'name' | 'extraSpecs'>;

/** Whether a back end has all that a type asks for; `satisfies` in SQL decides the same. Null, a volume without a type, asks for nothing. */
export function satisfies(backEnd: { capabilities: Capabilities }, type: Asking | null): boolean {
  return missing(backEnd, type).length === 0;
}

/** What of that the back end lacks. */
export function lackedBy(backEnd: { capabilities: Capabilities }, type: Asking): Capabilities {
  return Object.fromEntries(missing(backEnd, type));
}

function missing({ capabilities }: { capabilities: Capabilities }, type: Asking | null): [string, string][] {
  const has = (key: string, value: string) => Object.hasOwn(capabilities, key) && capabilities[key] === value;
  return askedOf(type?.extraSpecs ?? {}).filter(([key, value]) => !has(key, value));
}

/** What of a type a back end lacks, as a reason why no volume of that type may be on it; null when it lacks nothing. */
export function reasonLacking(
  backEnd: { name: string; capabilities: Capabilities },
  type: Asking | null,
): Reason | null {
  const lacking = missing(backEnd, type);
  if (type === null || lacking.length === 0) return null;
  const told = lacking.map(([key, value]) => {
    const has = Object.hasOwn(backEnd.capabilities, key) ? `it has ${key}=${backEnd.capabilities[key]}` : 'it has none';
    return `${key}=${value} (${has})`;
  });
  return {
    type: 'CapabilityMissing',
    message: `Back end ${backEnd.name} lacks what volume type ${type.name} asks for: ${told.join(', ')}.`,
    details: { backEnd: backEnd.name, volumeType: type.name, missing: Object.fromEntries(lacking) },
  };
}

/** Capabilities for people: `media=ssd tier=1`. */
export function capabilitiesText(capabilities: Capabilities): string {
  return Object.entries(capabilities)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

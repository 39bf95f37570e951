import * as z from 'zod';
import { ferryErrorTypes } from '../../model/errors.ts';
import { checkpoint } from '../../model/migration.ts';
import { backEndName, volumeId } from '../../model/ids.ts';
import { sizeBytes } from '../../model/sizes.ts';
import { label, plainText } from '../../model/text.ts';

/** An input of several fields; what else it holds passes. */
export const input = z.looseObject;

/** One part of a path, and never one that leads out of its folder. */
export const fileName = z.string().regex(/^(?!\.{1,2}$)[^/\p{Cc}\p{Cs}]{1,255}$/u, 'is not the name of a device');

export const snapshotDevice = z
  .string()
  .regex(/^_snapshot-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "is not the name of a snapshot's device");

export const exportName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, 'is not the name of an export');

/** The UUID of a logical volume, or what a file is known by. */
export const identity = label.min(1);

export const generation = z.number().int().nonnegative();

/** What lvm2 takes as a tag. */
export const tag = z.string().regex(/^[A-Za-z0-9_+.\-/=!:&#]{1,1024}$/, 'is not a tag');
export const tags = z.array(tag).max(64);

/** `<workflow id>/<run id>`; what else a service may call itself. */
export const owner = z.string().regex(/^[^\p{Cc}\p{Cs}]{1,2048}$/u, 'is not an owner');

export const onDevice = { backEnd: backEndName, deviceName: fileName };

/** The device that holds a volume. */
export const live = { ...onDevice, volumeId, generation, identity: identity.nullish() };

export const exportAddress = {
  host: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}$|^::1$/, 'is not a host'),
  port: z.number().int().min(1).max(65_535),
  exportName,
  tls: z.boolean(),
};

/** A path from the root without detours. */
export const absolutePath = z
  .string()
  .regex(/^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}\p{Cs}]+)+$/u, 'is not a whole path')
  .max(4096);

/** Where a device is on its own node. */
export const devicePlace = input({ kind: z.enum(['block', 'file']), path: absolutePath });

/** Bytes a second. */
export const cap = z.number().int().positive().nullable();

export const transfer = { ...onDevice, sizeBytes, migrationId: z.uuid(), from: checkpoint, bandwidth: cap };

/** Whoever failed has written it: it is kept as far as it can be written down. */
export const reason = z.looseObject({
  type: z.enum(ferryErrorTypes),
  message: plainText,
  details: z.record(z.string(), z.unknown()).exactOptional(),
});

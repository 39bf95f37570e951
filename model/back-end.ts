import * as z from 'zod';
import { backEndName, nodeName } from './ids.ts';

export const driverKind = z.enum(['lvm', 'directory']);
export type DriverKind = z.infer<typeof driverKind>;

/** A back end's row in the registry: written by the storage worker of its node, at start and as a heartbeat. */
export const backEnd = z.object({
  /** `node@name` */
  name: backEndName,
  node: nodeName,
  availabilityZone: z.string(),
  driver: driverKind,
  totalBytes: z.number().int().nonnegative(),
  freeBytes: z.number().int().nonnegative(),
  /** Set by an administrator: nothing new is allocated here. */
  disabled: z.boolean(),
  disabledReason: z.string().nullable(),
  /** What the storage worker last said of the device: `null` is well, else why it cannot serve. */
  fault: z.string().nullable(),
  /** Why nothing may be placed here, although what is here can be read and may leave; null when that is not so. */
  placementFault: z.string().nullable(),
  /** Devices here that lie on a disk that is lost: they can neither be read nor leave. Names. */
  lostDevices: z.array(z.string()),
  /** What the storage worker says of it, for volume types to ask for. */
  capabilities: z.record(z.string(), z.string()),
  heartbeatAt: z.date(),
  /** Since when it is known to be empty for good. */
  decommissionedAt: z.date().nullable(),
});
export type BackEnd = z.infer<typeof backEnd>;

/** A back end as it was at one moment by Postgres' clock, the only one by which a heartbeat may be judged. */
export const observedBackEnd = backEnd.extend({ asOf: z.date() });
export type ObservedBackEnd = z.infer<typeof observedBackEnd>;

/** A back end is down when its worker has not been heard of for this long (Cinder's `service_down_time` is 60 s). */
export const downAfterMs = 30_000;

/** How often a storage worker reports: several reports fit in `downAfterMs`, so that one lost report changes nothing. */
export const heartbeatEveryMs = 5_000;

/** `up` when the worker was heard of lately and can serve the device. `now` is Postgres' time: the caller's clock may be wrong. */
export function backEndState(b: Pick<BackEnd, 'heartbeatAt' | 'fault'>, now: Date): 'up' | 'down' {
  return b.fault === null && now.getTime() - b.heartbeatAt.getTime() <= downAfterMs ? 'up' : 'down';
}

/** Whether new volumes may be placed here, as far as the back end itself goes: enabled, up, and sound. */
export function mayPlace(
  b: Pick<BackEnd, 'disabled' | 'heartbeatAt' | 'fault' | 'placementFault'>,
  now: Date,
): boolean {
  return !b.disabled && b.placementFault === null && backEndState(b, now) === 'up';
}

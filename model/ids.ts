import * as z from 'zod';

/** A volume's id for life: a lower-case UUID. Never changes, whatever moves underneath. */
export const volumeId = z.uuid({ error: 'is not a volume id (expected a UUID)' }).transform((id) => id.toLowerCase());

/** A tenant's id, as `os-vol-tenant-attr:tenant_id` shows it. */
export const tenantId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'is not a tenant id (letters, digits, ".", "_", "-"; 64 at most)');

const label = '[A-Za-z0-9][A-Za-z0-9_.-]{0,62}';

/** A storage node's name, e.g. `server1`. Also the last part of its task queue. */
export const nodeName = z
  .string()
  .regex(new RegExp(`^${label}$`), 'is not a node name (letters, digits, ".", "_", "-")');

/** An instance, as its hypervisor's management calls it. */
export const instanceId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}$/,
    'is not an instance id (letters, digits, "_", ".", ":", "-"; 255 at most)',
  );

/** A disk as its guest knows it: `vdb`. */
export const guestDevice = z.string().regex(/^[a-z][a-z0-9]{0,31}$/, 'is not a device of a guest (e.g. vdb)');

/** A back end: `node@name`, e.g. `server1@lvmstorage-1`, as Cinder writes it. */
export const backEndName = z
  .string()
  .regex(new RegExp(`^${label}@${label}$`), 'is not a back end (expected node@name, e.g. server2@lvmstorage-2)');

/** The node of a back end: `server1` of `server1@lvmstorage-1`. */
export function nodeOf(backEnd: string): string {
  return backEnd.slice(0, backEnd.indexOf('@'));
}

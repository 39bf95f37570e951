import * as z from 'zod';

/**
 * One QEMU process: no other one, of this guest or another, before or after a reboot, is the same. What was asked of one says nothing of
 * what another does.
 */
export const qemuIdentity = z.object({
  pid: z.number().int(),
  /** In clock ticks since the machine was booted. */
  startedAt: z.number().int(),
  bootId: z.string(),
});
export type QemuIdentity = z.infer<typeof qemuIdentity>;

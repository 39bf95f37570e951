import * as z from 'zod';
import { action, type Action, type Asked } from '../call.ts';
import { flag } from '../fields.ts';
import { badRequest } from '../fault.ts';

const path = '/volumes/{id}/action';

async function idOf({ ferry, params }: Asked): Promise<string> {
  return (await ferry.findVolume(params['id']!)).volume.id;
}

const notReservable = () =>
  badRequest('Invalid volume: Volume status must be available to reserve it, and it must not be migrating.');
const notDetachable = () =>
  badRequest(
    "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.",
  );

/** What Nova says to a volume before and after it attaches and detaches it. The two that undo may be repeated. */
export const volumeReservationActions: readonly Action[] = [
  action({
    path,
    action: 'os-reserve',
    summary: 'Keep a volume for whoever is about to attach it',
    rule: 'volume_extension:volume_actions:reserve',
    status: 202,
    body: z.unknown(),
    refusals: { VolumeStatusRefused: notReservable, VolumeMigrating: notReservable, VolumeBusy: notReservable },
    async handle(asked) {
      await asked.ferry.reserveVolume(await idOf(asked));
      return {};
    },
  }),
  action({
    path,
    action: 'os-unreserve',
    summary: 'Let a volume go that was kept for an attachment',
    rule: 'volume_extension:volume_actions:unreserve',
    status: 202,
    body: z.unknown(),
    async handle(asked) {
      await asked.ferry.unreserveVolume(await idOf(asked));
      return {};
    },
  }),
  action({
    path,
    action: 'os-begin_detaching',
    summary: 'Keep a volume for whoever is about to detach it',
    rule: 'volume_extension:volume_actions:begin_detaching',
    status: 202,
    body: z.unknown(),
    refusals: { VolumeStatusRefused: notDetachable, VolumeMigrating: notDetachable, VolumeBusy: notDetachable },
    async handle(asked) {
      await asked.ferry.beginDetaching(await idOf(asked));
      return {};
    },
  }),
  action({
    path,
    action: 'os-roll_detaching',
    summary: 'Let a volume stay attached that was about to be detached',
    rule: 'volume_extension:volume_actions:roll_detaching',
    status: 202,
    body: z.unknown(),
    async handle(asked) {
      await asked.ferry.rollDetaching(await idOf(asked));
      return {};
    },
  }),
  action({
    path,
    action: 'os-update_readonly_flag',
    summary: 'Say whether guests may only read a volume',
    rule: 'volume:update_readonly_flag',
    status: 202,
    body: z.object({ readonly: flag }),
    async handle(asked) {
      await asked.ferry.setReadOnly(await idOf(asked), asked.body.readonly);
      return {};
    },
  }),
];

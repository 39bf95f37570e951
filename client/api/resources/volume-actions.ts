import * as z from 'zod';
import { gib } from '../../../model/sizes.ts';
import { action, type Action, type Asked } from '../call.ts';
import { flag, positiveInteger, text } from '../fields.ts';
import { badRequest, Fault, invalidInput, notFound, notImplemented, type Refusals } from '../fault.ts';
import { sizeGib, statusText } from '../presenters/volume.ts';

const path = '/volumes/{id}/action';

async function volumeOf({ ferry, params }: Asked) {
  return (await ferry.findVolume(params['id']!)).volume;
}

const retypeRefused = () =>
  badRequest(
    'Invalid volume: Retype needs volume to be in available or in-use state, not be part of an active migration or a consistency group, ' +
      'requested type has to be different that the one from the volume, and for in-use volumes front-end qos specs cannot change.',
  );

const retypeRefusals: Refusals = {
  VolumeMigrating: retypeRefused,
  VolumeBusy: retypeRefused,
  VolumeStatusRefused: retypeRefused,
  SameVolumeType: retypeRefused,
  VolumeTypeNotFound: (_, { body }) =>
    notFound(`Volume type with name ${(body as { new_type: string }).new_type} could not be found.`),
};

const notRevertible = ({ message }: { message: string }) => new Fault(409, `Invalid volume: ${message}`);

const revertRefusals: Refusals = {
  VolumeMigrating: notRevertible,
  VolumeBusy: notRevertible,
  VolumeStatusRefused: notRevertible,
};

const notForcedDeletable = () =>
  badRequest(
    'Invalid volume: Volume  must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated ' +
      'from snapshots after volume transfer.',
  );

const statuses = [
  'creating',
  'available',
  'deleting',
  'error',
  'error_deleting',
  'error_managing',
  'managing',
  'attaching',
  'in-use',
  'detaching',
  'maintenance',
  'restoring-backup',
  'error_restoring',
  'reserved',
  'awaiting-transfer',
  'backing-up',
  'error_backing-up',
  'error_extending',
  'downloading',
  'uploading',
  'retyping',
  'extending',
];

const noImages = () => notImplemented('Ferry has no images.');

export const volumeActions: readonly Action[] = [
  action({
    path,
    action: 'os-extend',
    summary: 'Make a volume larger; GiB',
    rule: 'volume:extend',
    status: 202,
    body: z.object({ new_size: positiveInteger }),
    async handle(asked) {
      const volume = await volumeOf(asked);
      const current = sizeGib(volume.sizeBytes);
      const status = statusText(volume);
      if (status !== 'available')
        throw badRequest(
          `Invalid volume: Volume ${volume.id} status must be '{'status': 'available'}' to extend, currently ${status}.`,
        );
      if (asked.body.new_size <= current)
        throw invalidInput(
          `New size for extend must be greater than current size. (current: ${current}, extended: ${asked.body.new_size}).`,
        );
      await asked.ferry.extendVolume(volume.id, asked.body.new_size * gib);
      return {};
    },
  }),
  action({
    path,
    action: 'os-retype',
    summary: 'Give a volume another type; with the policy on-demand it moves where it must',
    rule: 'volume:retype',
    status: 202,
    body: z.object({ new_type: z.string(), migration_policy: z.enum(['never', 'on-demand']).default('never') }),
    refusals: retypeRefusals,
    async handle(asked) {
      const volume = await volumeOf(asked);
      const { new_type: type, migration_policy: migrationPolicy } = asked.body;
      // Who may retype may let it move, as in Cinder: where to is not the tenant's to say.
      const ferry = migrationPolicy === 'on-demand' ? asked.admin : asked.ferry;
      await ferry.retypeVolume({ volumeId: volume.id, type, migrationPolicy });
      return {};
    },
  }),
  action({
    path,
    action: 'os-force_delete',
    summary: 'Delete a volume whatever its status',
    rule: 'volume_extension:volume_admin_actions:force_delete',
    status: 202,
    body: z.unknown(),
    refusals: {
      VolumeMigrating: notForcedDeletable,
      VolumeStatusRefused: notForcedDeletable,
      VolumeHasSnapshots: notForcedDeletable,
    },
    async handle(asked) {
      await asked.admin.deleteVolume((await volumeOf(asked)).id, { force: true });
      return {};
    },
  }),
  action({
    path,
    action: 'os-reset_status',
    summary: "Set a volume's status by hand",
    rule: 'volume_extension:volume_admin_actions:reset_status',
    status: 202,
    body: z.object({ status: text, attach_status: text, migration_status: text }),
    async handle(asked) {
      const { status, attach_status: attachStatus, migration_status: migrationStatus } = asked.body;
      if (!status && !attachStatus && !migrationStatus)
        throw badRequest("Must specify 'status', 'attach_status' or 'migration_status' for update.");
      if (status && !statuses.includes(status))
        throw badRequest(
          `Volume status: ${status} is invalid, valid statuses are: (${statuses.map((each) => `'${each}'`).join(', ')}).`,
        );
      const volume = await volumeOf(asked);
      if (status || attachStatus === 'detached') {
        await asked.admin.resetState({
          volumeId: volume.id,
          ...(status ? { status: status as 'error' } : {}),
          ...(attachStatus === 'detached' ? { detached: true } : {}),
        });
      }
      return {};
    },
  }),
  action({
    path,
    action: 'os-set_bootable',
    summary: 'Say whether a volume is one to boot from',
    rule: 'volume:update',
    status: 200,
    body: z.object({ bootable: flag }),
    async handle(asked) {
      await asked.ferry.setBootable((await volumeOf(asked)).id, asked.body.bootable);
      return {};
    },
  }),
  action({
    path,
    action: 'os-unmanage',
    summary: 'Forget a volume and leave its device',
    rule: 'volume_extension:volume_unmanage',
    status: 202,
    body: z.unknown(),
    async handle(asked) {
      await asked.admin.unmanageVolume((await volumeOf(asked)).id);
      return {};
    },
  }),
  action({
    path,
    action: 'revert',
    summary: 'Go back to the last snapshot',
    rule: 'volume:revert_to_snapshot',
    since: 40,
    status: 202,
    body: z.object({ snapshot_id: z.string() }),
    refusals: revertRefusals,
    async handle(asked) {
      const volume = await volumeOf(asked);
      const [last] = await asked.ferry.listSnapshots({ volumeId: volume.id });
      if (!last) throw badRequest(`Volume ${volume.id} doesn't have any snapshots.`);
      const { snapshot_id: wanted } = asked.body;
      if (wanted !== last.id)
        throw badRequest(`Specified snapshot ${wanted} is None or not the latest one of volume ${volume.id}.`);
      if (volume.sizeBytes !== last.sizeBytes)
        throw badRequest(
          `Can't revert volume ${volume.id} to its latest snapshot ${last.id}. The volume size must be equal to the snapshot size.`,
        );
      await asked.ferry.revertToSnapshot(last.id);
      return {};
    },
  }),
  action({
    path,
    action: 'os-extend_volume_completion',
    summary: 'Tell that a guest has seen the new size; Ferry asks for none',
    rule: 'volume_extension:volume_admin_actions:extend_volume_completion',
    since: 71,
    status: 202,
    body: z.object({ error: flag.default(false) }),
    async handle(asked) {
      await volumeOf(asked);
      throw badRequest('Invalid volume: Volume is not being extended.');
    },
  }),
  action({
    path,
    action: 'os-migrate_volume_completion',
    summary: "Nova's word that it has moved a guest to another volume; Ferry turns guests itself",
    rule: 'volume_extension:volume_admin_actions:migrate_volume_completion',
    status: 200,
    body: z.object({ new_volume: z.string(), error: flag.default(false) }),
    async handle(asked) {
      const volume = await volumeOf(asked);
      const { volume: other } = await asked.ferry.findVolume(asked.body.new_volume);
      throw badRequest(
        `Invalid volume: Volume ${volume.id} is not being migrated to volume ${other.id}: Ferry turns guests itself.`,
      );
    },
  }),
  action({
    path,
    action: 'os-show_image_metadata',
    summary: 'Show what a volume has from an image: none has',
    rule: 'volume_extension:volume_image_metadata:show',
    status: 200,
    body: z.unknown(),
    async handle(asked) {
      const volume = await volumeOf(asked);
      throw notFound(`Glance metadata for volume/snapshot ${volume.id} cannot be found.`);
    },
  }),
  ...(['os-set_image_metadata', 'os-unset_image_metadata'] as const).map((name) =>
    action({
      path,
      action: name,
      summary: 'Ferry has no images',
      rule: `volume_extension:volume_image_metadata:${name === 'os-set_image_metadata' ? 'set' : 'remove'}`,
      status: 200,
      body: z.unknown(),
      async handle(asked) {
        await volumeOf(asked);
        throw noImages();
      },
    }),
  ),
  action({
    path,
    action: 'os-volume_upload_image',
    summary: 'Ferry has no images',
    rule: 'volume_extension:volume_actions:upload_image',
    status: 202,
    body: z.strictObject({
      image_name: z.string(),
      force: flag.default(false),
      container_format: text,
      disk_format: text,
      visibility: text,
      protected: flag.nullish(),
    }),
    async handle(asked) {
      await volumeOf(asked);
      throw noImages();
    },
  }),
  action({
    path,
    action: 'os-reimage',
    summary: 'Ferry has no images',
    rule: 'volume:reimage',
    since: 68,
    status: 202,
    body: z.object({ image_id: z.string(), reimage_reserved: flag.default(false) }),
    async handle(asked) {
      await volumeOf(asked);
      throw notFound(`Image ${asked.body.image_id} could not be found.`);
    },
  }),
];

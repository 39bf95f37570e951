import * as z from 'zod';
import { gib } from '../../../model/sizes.ts';
import { snapshotStatusOf } from '../../../model/snapshot.ts';
import type { Volume } from '../../../model/volume.ts';
import { call, type Asked, type Call } from '../call.ts';
import { findDefaultType } from '../default-volume-type.ts';
import { flag, metadata, positiveInteger, text } from '../fields.ts';
import { badRequest, invalidInput, notFound, policyForbids, type Refusals } from '../fault.ts';
import { labelOf } from '../label.ts';
import { isTrue } from '../list-query.ts';
import { presentOwnVolume, presentVolume, sizeGib, statusText } from '../presenters/volume.ts';
import { listVolumes, summarizeVolumes } from './volume-list.ts';
import { withItsSurroundings } from './volume-view.ts';

const creation = z.object({
  size: positiveInteger.nullish(),
  name: text,
  display_name: text,
  description: text,
  display_description: text,
  volume_type: text,
  availability_zone: text,
  metadata: metadata.nullish(),
  snapshot_id: text,
  source_volid: text,
  imageRef: text,
  image_id: text,
  backup_id: text,
  consistencygroup_id: text,
  group_id: text,
  multiattach: flag.nullish(),
});

/** From 3.53 on an unknown key is refused; it was ignored before. */
const createBody = (minor: number) =>
  z.object({
    volume: minor >= 53 ? creation.strict() : creation,
    'OS-SCH-HNT:scheduler_hints': z.record(z.string(), z.unknown()).nullish(),
  });

const change = z.object({
  name: text,
  display_name: text,
  description: text,
  display_description: text,
  metadata: metadata.nullish(),
});

/** From 3.53 on something must be changed; an empty one did nothing before. */
const updateBody = (minor: number) =>
  z.object({
    volume:
      minor >= 53
        ? change.strict().refine((given) => Object.keys(given).length > 0, {
            error: '{} is not valid under any of the given schemas',
          })
        : change,
  });

const malformed = () =>
  badRequest('The server could not comply with the request since it is either malformed or otherwise incorrect.');

async function create(asked: Asked<z.output<ReturnType<typeof createBody>>>): Promise<Volume> {
  const { volume: wanted } = asked.body;
  refuseSources(asked);
  const { size } = wanted;
  const isCopy = Boolean(wanted.snapshot_id ?? wanted.source_volid);
  if (!isCopy && (size === null || size === undefined)) throw malformed();
  await refuseOrigin(asked);
  const zone = wanted.availability_zone ?? undefined;
  if (zone !== undefined && !(await zones(asked)).has(zone))
    throw badRequest(`Availability zone '${zone}' is invalid.`);
  const { volume } = await asked.ferry.createVolume({
    ...(size ? { sizeBytes: size * gib } : {}),
    snapshotId: wanted.snapshot_id || null,
    sourceVolumeId: wanted.source_volid || null,
    name: labelOf('name', wanted.name ?? wanted.display_name),
    description: labelOf('description', wanted.description ?? wanted.display_description),
    metadata: wanted.metadata ?? {},
    volumeType: wanted.volume_type || (isCopy ? null : ((await findDefaultType(asked))?.name ?? null)),
    ...(zone === undefined ? {} : { availabilityZone: zone }),
  });
  return volume;
}

/** From what Ferry cannot make a volume: each is refused as Cinder would refuse one that is not there. */
function refuseSources({ body }: Asked<z.output<ReturnType<typeof createBody>>>): void {
  const { volume: wanted } = body;
  if (wanted.multiattach)
    throw badRequest(
      'multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. ' +
        'Contact your administrator to create a multiattach enabled volume type and use it to create multiattach volumes.',
    );
  if (wanted.imageRef ?? wanted.image_id)
    throw badRequest('Invalid image identifier or unable to access requested image.');
  if (wanted.backup_id) throw notFound(`Backup ${wanted.backup_id} could not be found.`);
  if (wanted.group_id) throw notFound(`Group ${wanted.group_id} could not be found.`);
  if (wanted.consistencygroup_id) throw notFound(`ConsistencyGroup ${wanted.consistencygroup_id} could not be found.`);
}

/** What a volume cannot be made from, in Cinder's words; the registry looks at it once more when it begins. */
async function refuseOrigin({ ferry, body }: Asked<z.output<ReturnType<typeof createBody>>>): Promise<void> {
  const { snapshot_id: snapshotId, source_volid: sourceId, size } = body.volume;
  const smaller = (originBytes: number) => size != null && size * gib < originBytes;
  if (snapshotId && sourceId) throw invalidInput('A volume is made from a snapshot or from a volume, not from both.');
  if (snapshotId) {
    const found = await ferry.findSnapshot(snapshotId);
    if (snapshotStatusOf(found) !== 'available')
      throw badRequest("Invalid snapshot: Originating snapshot status must be one of 'available' values");
    if (smaller(found.sizeBytes))
      throw invalidInput(
        `Volume size '${size}'GB cannot be smaller than the snapshot size ${sizeGib(found.sizeBytes)}GB. They must be >= original snapshot size.`,
      );
  }
  if (sourceId) {
    const { volume: found } = await ferry.findVolume(sourceId);
    if (statusText(found) !== 'available')
      throw badRequest("Invalid volume: Originating source volume status must be one of 'available' values");
    if (smaller(found.sizeBytes))
      throw invalidInput(
        `Volume size '${size}'GB cannot be smaller than original volume size  ${sizeGib(found.sizeBytes)}GB. They must be >= original volume size.`,
      );
  }
}

async function zones({ admin }: Asked): Promise<Set<string>> {
  return new Set((await admin.listBackEnds()).map(({ availabilityZone }) => availabilityZone));
}

const createRefusals: Refusals = {
  VolumeTypeNotFound: (_, { body }) =>
    notFound(
      `Volume type with name ${(body as z.input<ReturnType<typeof createBody>>).volume.volume_type} could not be found.`,
    ),
};

/** What Cinder says of a volume that may not be deleted now. */
export const notDeletable = () =>
  badRequest(
    'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be ' +
      'migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer.',
  );

const deleteRefusals: Refusals = {
  VolumeMigrating: notDeletable,
  VolumeBusy: notDeletable,
  VolumeStatusRefused: notDeletable,
  VolumeHasSnapshots: notDeletable,
};

export const volumeCalls: readonly Call[] = [
  call({
    method: 'post',
    path: '/volumes',
    summary: 'Make a volume',
    rule: 'volume:create',
    status: 202,
    body: createBody,
    refusals: createRefusals,
    async handle(asked) {
      const made = await withItsSurroundings(asked, await create(asked));
      return { body: { volume: presentOwnVolume(made, asked) } };
    },
  }),
  call({
    method: 'get',
    path: '/volumes',
    summary: 'List volumes by id and name',
    rule: 'volume:get_all',
    status: 200,
    handle: (asked) => listVolumes(asked, { detailed: false }),
  }),
  call({
    method: 'get',
    path: '/volumes/detail',
    summary: 'List volumes',
    rule: 'volume:get_all',
    status: 200,
    handle: (asked) => listVolumes(asked, { detailed: true }),
  }),
  call({
    method: 'get',
    path: '/volumes/summary',
    summary: 'How many volumes there are, and how large they are together',
    rule: 'volume:get_all',
    since: 12,
    status: 200,
    handle: summarizeVolumes,
  }),
  call({
    method: 'get',
    path: '/volumes/{id}',
    summary: 'Show a volume',
    rule: 'volume:get',
    status: 200,
    async handle(asked) {
      const { volume } = await asked.ferry.findVolume(asked.params['id']!);
      return { body: { volume: presentVolume(await withItsSurroundings(asked, volume), asked) } };
    },
  }),
  call({
    method: 'put',
    path: '/volumes/{id}',
    summary: 'Change what people call a volume; its metadata is replaced if it is given',
    rule: 'volume:update',
    status: 200,
    body: updateBody,
    async handle(asked) {
      const { volume: found } = await asked.ferry.findVolume(asked.params['id']!);
      const wanted = asked.body.volume;
      const name = wanted.name === undefined ? wanted.display_name : wanted.name;
      const description = wanted.description === undefined ? wanted.display_description : wanted.description;
      const described = await asked.ferry.describeVolume(found.id, {
        ...(name === undefined ? {} : { name: labelOf('name', name) }),
        ...(description === undefined ? {} : { description: labelOf('description', description) }),
      });
      const volume = wanted.metadata ? await asked.ferry.replaceMetadata(found.id, wanted.metadata) : described;
      return { body: { volume: presentOwnVolume(await withItsSurroundings(asked, volume), asked) } };
    },
  }),
  call({
    method: 'get',
    path: '/volumes/{id}/encryption',
    summary: "Show a volume's encryption: it has none",
    rule: 'volume_extension:volume_encryption_metadata',
    status: 200,
    async handle({ ferry, params }) {
      await ferry.findVolume(params['id']!);
      return { body: { encryption_key_id: null } };
    },
  }),
  call({
    method: 'get',
    path: '/volumes/{id}/encryption/{key}',
    summary: "Show one key of a volume's encryption: it has none",
    rule: 'volume_extension:volume_encryption_metadata',
    status: 200,
    async handle({ ferry, params }) {
      await ferry.findVolume(params['id']!);
      return { body: { [params['key']!]: null } };
    },
  }),
  call({
    method: 'delete',
    path: '/volumes/{id}',
    summary: 'Delete a volume with its bytes',
    rule: 'volume:delete',
    status: 202,
    refusals: deleteRefusals,
    async handle({ ferry, admin, params, query, mayDo }) {
      const { volume } = await ferry.findVolume(params['id']!);
      const force = isTrue(query.get('force'));
      if (force && !mayDo('volume:force_delete')) throw policyForbids('volume:force_delete');
      await (force ? admin : ferry).deleteVolume(volume.id, { force, cascade: isTrue(query.get('cascade')) });
      return {};
    },
  }),
];

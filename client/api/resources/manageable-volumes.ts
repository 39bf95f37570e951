import * as z from 'zod';
import { deviceName as deviceNameOf } from '../../../model/names.ts';
import type { UnmanagedDevice } from '../../../model/unmanaged-device.ts';
import type { Volume } from '../../../model/volume.ts';
import { call, type Asked, type Call } from '../call.ts';
import { flag, metadata, text } from '../fields.ts';
import { badRequest, notFound } from '../fault.ts';
import { labelOf } from '../label.ts';
import { listQuery, page } from '../list-query.ts';
import { presentOwnVolume, sizeGib } from '../presenters/volume.ts';
import { backEndOf } from './migrate-volume.ts';
import { withItsSurroundings } from './volume-view.ts';

const management = z.object({
  volume: z.object({
    host: text,
    cluster: text,
    ref: z.union([z.string(), z.record(z.string(), z.string())]),
    name: text,
    description: text,
    volume_type: text,
    availability_zone: text,
    metadata: metadata.nullish(),
    bootable: flag.nullish(),
  }),
});

async function list(asked: Asked, detailed: boolean) {
  const host = asked.query.get('host');
  if (host === null) throw badRequest("Either 'host' or 'cluster' parameter must be specified.");
  const query = listQuery(asked.query);
  const backEnd = backEndOf(host);
  const [found, managed] = await Promise.all([
    asked.admin.discoverDevices(backEnd),
    asked.admin.listVolumes({ host: backEnd }),
  ]);
  const shown = page([...found.map(stranger), ...managed.map(own)], query, ({ name }) => name);
  return { body: { 'manageable-volumes': shown.map((each) => present(each, detailed)) } };
}

interface Device extends UnmanagedDevice {
  volumeId: string | null;
}

const stranger = (device: UnmanagedDevice): Device => ({ ...device, volumeId: null });

const own = (volume: Volume): Device => ({
  name: deviceNameOf(volume),
  sizeBytes: volume.sizeBytes,
  obstacle: 'already managed',
  volumeId: volume.id,
});

function present(device: Device, detailed: boolean): object {
  return {
    reference: { 'source-name': device.name },
    size: sizeGib(device.sizeBytes),
    safe_to_manage: device.obstacle === null,
    ...(detailed && {
      reason_not_safe: device.obstacle,
      cinder_id: device.volumeId,
      extra_info: null,
    }),
  };
}

async function manage(asked: Asked<z.output<typeof management>>) {
  const wanted = asked.body.volume;
  if (!wanted.host || wanted.cluster)
    throw badRequest('Invalid input received: One and only one of cluster and host must be set.');
  const backEnd = backEndOf(wanted.host);
  const deviceName = typeof wanted.ref === 'string' ? wanted.ref : wanted.ref['source-name'];
  if (deviceName === undefined) throw badRequest('Invalid input received: ref must have a source-name.');
  await asked.admin.findBackEnd(backEnd);
  if (wanted.volume_type) await asked.ferry.findVolumeType(wanted.volume_type);
  const volume = await asked.admin.manageVolume({
    backEnd,
    deviceName,
    name: labelOf('name', wanted.name),
    description: labelOf('description', wanted.description),
    bootable: wanted.bootable ?? false,
  });
  const tagged = wanted.metadata ? await asked.admin.changeMetadata(volume.id, { set: wanted.metadata }) : volume;
  return { body: { volume: presentOwnVolume(await withItsSurroundings(asked, tagged), asked) } };
}

const managing = {
  method: 'post',
  summary: 'Make a device that is there already a volume',
  rule: 'volume_extension:volume_manage',
  status: 202,
  body: management,
  refusals: {
    BackEndNotFound: (_: unknown, { body }: { body: unknown }) =>
      notFound(
        `Service cinder-volume could not be found on host ${(body as { volume: { host: string } }).volume.host}.`,
      ),
  },
  handle: manage,
} as const;

const looking = {
  method: 'get',
  summary: "List the devices of a back end that are none of Ferry's",
  rule: 'volume_extension:list_manageable',
  status: 200,
} as const;

export const manageableVolumeCalls: readonly Call[] = [
  call({ ...managing, path: '/os-volume-manage' }),
  call({ ...managing, path: '/manageable_volumes', since: 8 }),
  call({ ...looking, path: '/os-volume-manage', handle: (asked) => list(asked, false) }),
  call({ ...looking, path: '/os-volume-manage/detail', handle: (asked) => list(asked, true) }),
  call({ ...looking, path: '/manageable_volumes', since: 8, handle: (asked) => list(asked, false) }),
  call({ ...looking, path: '/manageable_volumes/detail', since: 8, handle: (asked) => list(asked, true) }),
];

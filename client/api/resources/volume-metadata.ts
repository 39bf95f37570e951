import * as z from 'zod';
import { call, type Asked, type Call } from '../call.ts';
import { metadata } from '../fields.ts';
import { badRequest, notFound } from '../fault.ts';

const all = z.object({ metadata });
const one = z.object({ meta: metadata });

async function metadataOf({ ferry, params }: Asked): Promise<Record<string, string>> {
  return (await ferry.findVolume(params['id']!)).volume.metadata;
}

async function valueOf(asked: Asked): Promise<string> {
  const key = asked.params['key']!;
  const found = await metadataOf(asked);
  if (Object.hasOwn(found, key)) return found[key]!;
  throw notFound(`Volume ${asked.params['id']} has no metadata with key ${key}.`);
}

export const volumeMetadataCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/volumes/{id}/metadata',
    summary: "Show a volume's metadata",
    rule: 'volume:get_volume_metadata',
    status: 200,
    handle: async (asked) => ({ body: { metadata: await metadataOf(asked) } }),
  }),
  call({
    method: 'post',
    path: '/volumes/{id}/metadata',
    summary: "Set keys of a volume's metadata; the others stay",
    rule: 'volume:create_volume_metadata',
    status: 200,
    body: all,
    async handle(asked) {
      const { id } = (await asked.ferry.findVolume(asked.params['id']!)).volume;
      const volume = await asked.ferry.changeMetadata(id, { set: asked.body.metadata });
      return { body: { metadata: volume.metadata } };
    },
  }),
  call({
    method: 'put',
    path: '/volumes/{id}/metadata',
    summary: "Replace a volume's metadata",
    rule: 'volume:update_volume_metadata',
    status: 200,
    body: all,
    async handle(asked) {
      const { id } = (await asked.ferry.findVolume(asked.params['id']!)).volume;
      const volume = await asked.ferry.replaceMetadata(id, asked.body.metadata);
      return { body: { metadata: volume.metadata } };
    },
  }),
  call({
    method: 'get',
    path: '/volumes/{id}/metadata/{key}',
    summary: "Show one key of a volume's metadata",
    rule: 'volume:get_volume_metadata',
    status: 200,
    handle: async (asked) => ({ body: { meta: { [asked.params['key']!]: await valueOf(asked) } } }),
  }),
  call({
    method: 'put',
    path: '/volumes/{id}/metadata/{key}',
    summary: "Set one key of a volume's metadata",
    rule: 'volume:update_volume_metadata',
    status: 200,
    body: one,
    async handle(asked) {
      const key = asked.params['key']!;
      const keys = Object.keys(asked.body.meta);
      if (keys.length > 1) throw badRequest('Request body contains too many items');
      if (keys[0] !== key) throw badRequest('Request body and URI mismatch');
      const { id } = (await asked.ferry.findVolume(asked.params['id']!)).volume;
      await asked.ferry.changeMetadata(id, { set: asked.body.meta });
      return { body: { meta: asked.body.meta } };
    },
  }),
  call({
    method: 'delete',
    path: '/volumes/{id}/metadata/{key}',
    summary: "Remove one key of a volume's metadata",
    rule: 'volume:delete_volume_metadata',
    status: 200,
    async handle(asked) {
      await valueOf(asked);
      const { id } = (await asked.ferry.findVolume(asked.params['id']!)).volume;
      await asked.ferry.changeMetadata(id, { unset: [asked.params['key']!] });
      return {};
    },
  }),
];

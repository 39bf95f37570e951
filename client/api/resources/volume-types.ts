import * as z from 'zod';
import { call, type Asked, type Call } from '../call.ts';
import { findDefaultType } from '../default-volume-type.ts';
import { flag, text } from '../fields.ts';
import { Fault, badRequest, notFound, type Refusals } from '../fault.ts';
import { listQuery, nextLinks, page } from '../list-query.ts';
import { presentVolumeType } from '../presenters/volume-type.ts';

const specKey = /^[a-zA-Z0-9-_:.]{1,255}$/;
const specs = z.record(z.string().regex(specKey), z.string().max(255));

const creation = z.object({
  volume_type: z.object({
    name: z.string(),
    description: text,
    extra_specs: specs.nullish(),
    'os-volume-type-access:is_public': flag.nullish(),
  }),
});
const change = z.object({ volume_type: z.object({ name: text, description: text, is_public: flag.nullish() }) });

const refusals: Refusals = {
  VolumeTypeNotFound: (_, { params }) => notFound(`Volume type ${params['id']} could not be found.`),
  VolumeTypeExists: ({ details }) => new Fault(409, `Volume Type ${details?.['volumeType'] as string} already exists.`),
  VolumeTypeInUse: () => badRequest('Target volume type is still in use.'),
};

function nameOf(given: string | null | undefined): string {
  const name = (given ?? '').trim();
  if (name === '') throw badRequest('Volume type name can not be empty.');
  if (name.length > 255)
    throw badRequest(`Invalid input for field/attribute name. Value: ${given}. '${given}' is too long`);
  return name;
}

const find = ({ ferry, params }: Asked) => ferry.findVolumeType(params['id']!);

/** What the type asks for, though its members may not see it: for what the policy allows. */
async function specsOf(asked: Asked): Promise<Record<string, string>> {
  const { id } = await find(asked);
  return (await asked.admin.findVolumeType(id)).extraSpecs ?? {};
}

async function specOf(asked: Asked): Promise<string> {
  const found = await specsOf(asked);
  const key = asked.params['key']!;
  if (Object.hasOwn(found, key)) return found[key]!;
  throw notFound(`Volume Type ${asked.params['id']} has no extra specs with key ${key}.`);
}

async function list(asked: Asked) {
  const query = listQuery(asked.query);
  const types = await asked.ferry.listVolumeTypes();
  const wanted = wantedPublicity(asked);
  const fitting = types.filter((each) => wanted === null || each.isPublic === wanted);
  const ordered = fitting.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1));
  const shown = page(ordered, query, ({ id }) => id);
  const href = `${asked.site.origin}/v3${asked.site.project}/types`;
  return {
    body: {
      volume_types: shown.map((each) => presentVolumeType(each, asked)),
      ...nextLinks('volume_type', { href, query: asked.query, limit: query.limit, shown }),
    },
  };
}

/** Tenants see the public types, and those that they have access to; administrators may ask for either kind, or both (`None`). */
function wantedPublicity({ isAdmin, query }: Asked): boolean | null {
  const asked = query.get('is_public');
  if (!isAdmin) return null;
  if (asked === null) return true;
  if (/^none$/i.test(asked)) return null;
  if (/^(1|t|true|on|y|yes)$/i.test(asked)) return true;
  if (/^(0|f|false|off|n|no)$/i.test(asked)) return false;
  throw badRequest(`Invalid is_public filter [${asked}]`);
}

export const volumeTypeCalls: readonly Call[] = [
  call({
    method: 'post',
    path: '/types',
    summary: 'Make a volume type',
    rule: 'volume_extension:type_create',
    status: 200,
    body: creation,
    refusals,
    async handle(asked) {
      const wanted = asked.body.volume_type;
      const made = await asked.admin.createVolumeType({
        name: nameOf(wanted.name),
        description: wanted.description ?? null,
        extraSpecs: wanted.extra_specs ?? {},
        ...(wanted['os-volume-type-access:is_public'] === false ? { isPublic: false } : {}),
      });
      const { qos_specs_id: _, ...shown } = presentVolumeType(made, asked) as Record<string, unknown>;
      return { body: { volume_type: shown } };
    },
  }),
  call({
    method: 'get',
    path: '/types',
    summary: 'List volume types',
    rule: 'volume_extension:type_get_all',
    status: 200,
    handle: list,
  }),
  call({
    method: 'get',
    path: '/types/default',
    summary: 'Show the default volume type',
    rule: 'volume_extension:type_get',
    status: 200,
    async handle(asked) {
      const found = await findDefaultType(asked);
      if (!found) throw notFound('Default volume type can not be found.');
      return { body: { volume_type: presentVolumeType(found, asked) } };
    },
  }),
  call({
    method: 'get',
    path: '/types/{id}',
    summary: 'Show a volume type',
    rule: 'volume_extension:type_get',
    status: 200,
    refusals,
    handle: async (asked) => ({ body: { volume_type: presentVolumeType(await find(asked), asked) } }),
  }),
  call({
    method: 'put',
    path: '/types/{id}',
    summary: 'Change what a volume type is called, or who may have it',
    rule: 'volume_extension:type_update',
    status: 200,
    body: change,
    refusals,
    async handle(asked) {
      const { name, description, is_public: publicity } = asked.body.volume_type;
      if (name === undefined && description === undefined && publicity === undefined)
        throw badRequest('Specify volume type name, description, is_public or a combination thereof.');
      const { id } = await find(asked);
      const changed = await asked.admin.changeVolumeType(id, {
        ...(name === undefined || name === null ? {} : { name: nameOf(name) }),
        ...(description === undefined ? {} : { description }),
        ...(publicity === undefined || publicity === null ? {} : { isPublic: publicity }),
      });
      return { body: { volume_type: presentVolumeType(changed, { isAdmin: false }) } };
    },
  }),
  call({
    method: 'delete',
    path: '/types/{id}',
    summary: 'Delete a volume type',
    rule: 'volume_extension:type_delete',
    status: 202,
    refusals,
    async handle(asked) {
      const { id, name } = await find(asked);
      if (name === asked.defaultVolumeType)
        throw badRequest(`The volume type ${name} is a default volume type and cannot be deleted.`);
      await asked.admin.deleteVolumeType(id);
      return {};
    },
  }),
  call({
    method: 'get',
    path: '/types/{id}/encryption',
    summary: "Show a type's encryption: none has any",
    rule: 'volume_extension:volume_type_encryption:get',
    status: 200,
    refusals,
    async handle(asked) {
      await find(asked);
      return { body: {} };
    },
  }),
  call({
    method: 'get',
    path: '/types/{id}/extra_specs',
    summary: 'Show what a volume type asks for',
    rule: 'volume_extension:types_extra_specs:index',
    status: 200,
    refusals,
    handle: async (asked) => ({ body: { extra_specs: asked.isAdmin ? await specsOf(asked) : {} } }),
  }),
  call({
    method: 'post',
    path: '/types/{id}/extra_specs',
    summary: 'Set keys of what a volume type asks for',
    rule: 'volume_extension:types_extra_specs:create',
    status: 200,
    body: z.object({ extra_specs: specs }),
    refusals,
    async handle(asked) {
      const { id } = await find(asked);
      await asked.admin.changeVolumeType(id, { set: asked.body.extra_specs });
      return { body: { extra_specs: asked.body.extra_specs } };
    },
  }),
  call({
    method: 'get',
    path: '/types/{id}/extra_specs/{key}',
    summary: 'Show one key of what a volume type asks for',
    rule: 'volume_extension:types_extra_specs:show',
    status: 200,
    refusals,
    async handle(asked) {
      if (!asked.isAdmin)
        throw notFound(`Volume Type ${asked.params['id']} has no extra specs with key ${asked.params['key']}.`);
      return { body: { [asked.params['key']!]: await specOf(asked) } };
    },
  }),
  call({
    method: 'put',
    path: '/types/{id}/extra_specs/{key}',
    summary: 'Set one key of what a volume type asks for',
    rule: 'volume_extension:types_extra_specs:update',
    status: 200,
    body: specs,
    refusals,
    async handle(asked) {
      const keys = Object.keys(asked.body);
      if (keys.length > 1) throw badRequest('Request body contains too many items');
      if (keys[0] !== asked.params['key']) throw badRequest('Request body and URI mismatch');
      const { id } = await find(asked);
      await asked.admin.changeVolumeType(id, { set: asked.body });
      return { body: asked.body };
    },
  }),
  call({
    method: 'delete',
    path: '/types/{id}/extra_specs/{key}',
    summary: 'Remove one key of what a volume type asks for',
    rule: 'volume_extension:types_extra_specs:delete',
    status: 202,
    refusals,
    async handle(asked) {
      await specOf(asked);
      await asked.admin.changeVolumeType((await find(asked)).id, { unset: [asked.params['key']!] });
      return {};
    },
  }),
];

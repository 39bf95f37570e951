import * as z from 'zod';
import { connector as connectorSchema } from '../../client-attachments.ts';
import { action, call, type Action, type Asked, type Call } from '../call.ts';
import { badRequest, Fault, invalidInput, type Refusals } from '../fault.ts';
import { filtersRefused, isTrue, listQuery, nextLinks, page } from '../list-query.ts';
import { presentAttachment, summarizeAttachment } from '../presenters/attachment.ts';

/** Attachments have their resource from here on, their end of an attach from there on, their mode from there on. Minor numbers. */
const [since, sinceComplete, sinceMode] = [27, 44, 54];

const connectorBody = z.record(z.string(), z.unknown());

const create = (minor: number) =>
  z.object({
    attachment: z.strictObject({
      volume_uuid: z.guid(),
      instance_uuid: z.guid().nullish(),
      connector: connectorBody.nullish(),
      ...(minor >= sinceMode ? { mode: z.enum(['rw', 'ro']).optional() } : {}),
    }),
  });

const update = z.object({
  attachment: z.strictObject({
    connector: connectorBody.refine((given) => Object.keys(given).length > 0, {
      error: '{} does not have enough properties',
    }),
  }),
});

/** The client's connector, as far as Ferry asks for it. */
export function connectorOf(given: Record<string, unknown>) {
  const parsed = connectorSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidInput(`The connector's ${issue?.path.join('.') || 'host'} ${issue?.message ?? 'is missing'}.`);
}

const conflict = (message: string) => new Fault(409, message);

/** Why a volume does not get a connection. */
export const connectRefusals: Refusals = {
  VolumeStatusRefused: ({ message, details }) =>
    details?.['isConnected'] === true
      ? conflict(`Resource conflict: duplicate connectors detected on volume ${String(details?.['volumeId'])}`)
      : badRequest(`Invalid volume: ${message}`),
};

/** Whoever is connected is told of by Cinder's words; Nova lets go by its own API. */
export const endRefusals: Refusals = {
  VolumeInUse: ({ message }) =>
    conflict(`Detach volume from instance using the Compute API: it is still in use. ${message}`),
};

async function list(asked: Asked, detailed: boolean) {
  const query = listQuery(asked.query);
  const all = await listed(asked, query.filters);
  const ordered = query.sort.length === 0 ? all : all.toSorted(byKeys(query.sort));
  const shown = page(ordered, query, ({ id }) => id);
  const href = `${asked.site.origin}/v3${asked.site.project}/${asked.path}`;
  return {
    body: {
      attachments: shown.map(detailed ? presentAttachment : summarizeAttachment),
      ...nextLinks('attachments', { href, query: asked.query, limit: query.limit, shown }),
    },
  };
}

async function listed(asked: Asked, filters: ReadonlyMap<string, string>) {
  const everybodys = asked.isAdmin && isTrue(asked.query.get('all_tenants'));
  const filter: Parameters<Asked['ferry']['seenAttachments']>[0] = everybodys
    ? {}
    : { tenantId: asked.caller.projectId };
  for (const [key, value] of filters) {
    if (key === 'volume_id') {
      if (!z.guid().safeParse(value).success) return [];
      filter.volumeId = value;
    } else if (key === 'instance_id') filter.instanceId = value;
    else if (key === 'status' || key === 'attach_status') filter.status = value;
    else if (key === 'project_id' && everybodys) filter.tenantId = value;
    else if (asked.isAdmin) return [];
    else if (asked.minor >= filtersRefused) throw badRequest(`Invalid filters ${key} are found in query options.`);
  }
  return asked.ferry.seenAttachments(filter);
}

type Listed = Awaited<ReturnType<typeof listed>>[number];

const keys: Readonly<Record<string, (of: Listed) => string>> = {
  id: ({ id }) => id,
  volume_id: ({ volumeId }) => volumeId,
  instance_uuid: ({ instanceId }) => instanceId ?? '',
  attach_status: ({ status }) => status,
  created_at: ({ attachedAt }) => attachedAt?.toISOString() ?? '',
};

function byKeys(sort: readonly { key: string; descending: boolean }[]) {
  const by = sort.map(({ key, descending }) => {
    if (!Object.hasOwn(keys, key)) throw invalidInput('Invalid sort key');
    return { of: keys[key]!, sign: descending ? -1 : 1 };
  });
  return (a: Listed, b: Listed) => {
    for (const { of, sign } of by) if (of(a) !== of(b)) return of(a) < of(b) ? -sign : sign;
    return 0;
  };
}

export const attachmentCalls: readonly Call[] = [
  call({
    method: 'post',
    path: '/attachments',
    summary: 'Keep a volume for an attachment; with a connector also connect its host',
    rule: 'volume:attachment_create',
    since,
    status: 200,
    body: create,
    refusals: connectRefusals,
    async handle({ ferry, body }) {
      const wanted = body.attachment;
      const connector = wanted.connector ? connectorOf(wanted.connector) : null;
      const { volume } = await ferry.findVolume(wanted.volume_uuid);
      if (volume.status.includes('error'))
        throw badRequest(
          'Invalid volume: Volume attachments can not be created if the volume is in an error state. ' +
            `The Volume ${volume.id} currently has a status of: ${volume.status} `,
        );
      const reserved = await ferry.reserveAttachment({
        volumeId: volume.id,
        instanceId: wanted.instance_uuid ?? null,
        ...('mode' in wanted && wanted.mode ? { mode: wanted.mode as 'rw' | 'ro' } : {}),
      });
      if (!connector) return { body: { attachment: presentAttachment(reserved) } };
      try {
        return { body: { attachment: presentAttachment(await ferry.connectAttachment(reserved.id, connector)) } };
      } catch (error) {
        // Whoever was refused does not know its id.
        await ferry.endAttachment(reserved.id).catch(() => {});
        throw error;
      }
    },
  }),
  call({
    method: 'get',
    path: '/attachments',
    summary: 'List attachments by their ids',
    rule: null,
    since,
    status: 200,
    handle: (asked) => list(asked, false),
  }),
  call({
    method: 'get',
    path: '/attachments/detail',
    summary: 'List attachments with their connections',
    rule: null,
    since,
    status: 200,
    handle: (asked) => list(asked, true),
  }),
  call({
    method: 'get',
    path: '/attachments/{id}',
    summary: 'Show an attachment, and how its host reaches the volume',
    rule: null,
    since,
    status: 200,
    async handle({ ferry, params }) {
      return { body: { attachment: presentAttachment(await ferry.seenAttachment(params['id']!)) } };
    },
  }),
  call({
    method: 'put',
    path: '/attachments/{id}',
    summary: 'Connect a host to a volume that is kept for it; answers when it can be reached',
    rule: 'volume:attachment_update',
    since,
    status: 200,
    body: update,
    refusals: connectRefusals,
    async handle({ ferry, params, body }) {
      const { id } = await ferry.seenAttachment(params['id']!);
      const connected = await ferry.connectAttachment(id, connectorOf(body.attachment.connector));
      return { body: { attachment: presentAttachment(connected) } };
    },
  }),
  call({
    method: 'delete',
    path: '/attachments/{id}',
    summary: 'End an attachment; refused while somebody uses its connection',
    rule: 'volume:attachment_delete',
    since,
    status: 200,
    refusals: endRefusals,
    async handle({ ferry, params }) {
      const ended = await ferry.seenAttachment(params['id']!);
      await ferry.endAttachment(ended.id);
      const others = await ferry.seenAttachments({ volumeId: ended.volumeId });
      return { body: { attachments: others.map(summarizeAttachment) } };
    },
  }),
];

export const attachmentActions: readonly Action[] = [
  action({
    path: '/attachments/{id}/action',
    action: 'os-complete',
    summary: 'Say that what was attached is in use',
    rule: 'volume:attachment_complete',
    since: sinceComplete,
    status: 204,
    body: z.unknown(),
    async handle({ ferry, params }) {
      await ferry.completeAttachment(params['id']!);
      return {};
    },
  }),
];

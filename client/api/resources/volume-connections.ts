import * as z from 'zod';
import { action, type Action, type Asked } from '../call.ts';
import { badRequest, type Refusals } from '../fault.ts';
import { connectionInfo } from '../presenters/attachment.ts';
import { connectorOf, connectRefusals, endRefusals } from './attachments.ts';

const path = '/volumes/{id}/action';

const connection = z.strictObject({ connector: z.record(z.string(), z.unknown()) });

const attached = z
  .strictObject({
    instance_uuid: z.guid().nullish(),
    host_name: z.string().max(255).nullish(),
    mountpoint: z.string().min(1).max(255),
    mode: z.enum(['rw', 'ro']).default('rw'),
  })
  .refine(({ instance_uuid: instance, host_name: host }) => (instance ?? null) !== null || (host ?? '') !== '', {
    error: 'is not valid under any of the given schemas',
  });

const ended = z.strictObject({ attachment_id: z.guid().nullish() }).nullable();

async function idOf({ ferry, params }: Asked): Promise<string> {
  return (await ferry.findVolume(params['id']!)).volume.id;
}

const attachRefusals: Refusals = {
  VolumeStatusRefused: ({ message }) => badRequest(`Invalid volume: ${message}`),
};

/** How volumes were attached before attachments had their own resource; Terraform and older Novas do it so. */
export const volumeConnectionActions: readonly Action[] = [
  action({
    path,
    action: 'os-initialize_connection',
    summary: 'Connect a host to a volume; answers when it can be reached',
    rule: 'volume_extension:volume_actions:initialize_connection',
    status: 200,
    body: connection,
    refusals: connectRefusals,
    async handle(asked) {
      const connector = connectorOf(asked.body.connector);
      const { type, data } = connectionInfo(await asked.ferry.connectHost(await idOf(asked), connector))!;
      return {
        body: { connection_info: { driver_volume_type: type, data, enforce_multipath: false } },
      };
    },
  }),
  action({
    path,
    action: 'os-attach',
    summary: 'Say that a volume is attached',
    rule: 'volume_extension:volume_actions:attach',
    status: 202,
    body: attached,
    refusals: attachRefusals,
    async handle(asked) {
      const { instance_uuid: instanceId, host_name: host, mountpoint, mode } = asked.body;
      if (instanceId && host) throw badRequest('Invalid request to attach volume to an invalid target');
      await asked.ferry.attachOnVolume(await idOf(asked), { instanceId, host: host || null, device: mountpoint, mode });
      return {};
    },
  }),
  action({
    path,
    action: 'os-terminate_connection',
    summary: "End a host's connection to a volume; refused while somebody uses it",
    rule: 'volume_extension:volume_actions:terminate_connection',
    status: 202,
    body: connection,
    refusals: endRefusals,
    async handle(asked) {
      await asked.ferry.disconnectHost(await idOf(asked), connectorOf(asked.body.connector));
      return {};
    },
  }),
  action({
    path,
    action: 'os-detach',
    summary: 'End an attachment of a volume, its only one if none is named',
    rule: 'volume_extension:volume_actions:detach',
    status: 202,
    body: ended,
    refusals: endRefusals,
    async handle(asked) {
      await asked.ferry.detachOnVolume(await idOf(asked), asked.body?.attachment_id ?? null);
      return {};
    },
  }),
  action({
    path,
    action: 'os-force_detach',
    summary: 'End an attachment of a volume, whoever is connected',
    rule: 'volume_extension:volume_admin_actions:force_detach',
    status: 202,
    refusals: endRefusals,
    body: z.strictObject({ attachment_id: z.guid().nullish(), connector: z.record(z.string(), z.unknown()).nullish() }),
    async handle(asked) {
      const id = await idOf(asked);
      await asked.admin.detachOnVolume(id, asked.body.attachment_id ?? null, { force: true });
      return {};
    },
  }),
];

import * as z from 'zod';
import { action, call, type Action, type Asked, type Call } from '../call.ts';
import { badRequest, notFound } from '../fault.ts';

const path = '/types/{id}/action';
const ofProject = z.object({ project: z.string().min(1) });

async function typeOf({ ferry, params }: Asked) {
  return ferry.findVolumeType(params['id']!);
}

/** Who may have volumes of a private type. */
export const volumeTypeAccessCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/types/{id}/os-volume-type-access',
    summary: 'List the projects that may have volumes of a private type',
    rule: 'volume_extension:volume_type_access:get_all_for_type',
    status: 200,
    async handle(asked) {
      const type = await typeOf(asked);
      if (type.isPublic) throw notFound('Access list not available for public volume types.');
      const projects = await asked.admin.listTypeAccess(type.id);
      return {
        body: { volume_type_access: projects.map((project) => ({ volume_type_id: type.id, project_id: project })) },
      };
    },
  }),
];

export const volumeTypeAccessActions: readonly Action[] = [
  action({
    path,
    action: 'addProjectAccess',
    summary: 'Let a project have volumes of a private type',
    rule: 'volume_extension:volume_type_access:addProjectAccess',
    status: 202,
    body: ofProject,
    async handle(asked) {
      const type = await typeOf(asked);
      if (type.isPublic)
        throw badRequest('Invalid volume type: Type access modification is not applicable to public volume type.');
      await asked.admin.addTypeAccess(type.id, asked.body.project);
      return {};
    },
  }),
  action({
    path,
    action: 'removeProjectAccess',
    summary: 'Let a project have no more volumes of a private type',
    rule: 'volume_extension:volume_type_access:removeProjectAccess',
    status: 202,
    body: ofProject,
    async handle(asked) {
      const type = await typeOf(asked);
      if (type.isPublic)
        throw badRequest('Invalid volume type: Type access modification is not applicable to public volume type.');
      await asked.admin.removeTypeAccess(type.id, asked.body.project);
      return {};
    },
  }),
];

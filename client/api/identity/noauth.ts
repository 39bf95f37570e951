import { tenantId } from '../../../model/ids.ts';
import { badRequest } from '../fault.ts';
import type { Authentication } from './authentication.ts';

/**
 * Whoever reaches the API is an administrator, as with Cinder's own `noauth`: for one machine. The token is `user:project`, as cinderclient
 * and gophercloud send it; the path's project wins, since openstackclient sends no other.
 */
export const noauth: Authentication = {
  authenticate(request, projectInPath) {
    const [user, project] = (request.headers.get('x-auth-token') ?? '').split(':', 2);
    const parsed = tenantId.safeParse(projectInPath ?? (project || 'admin'));
    if (!parsed.success) throw badRequest('Malformed request url');
    return Promise.resolve({ userId: user || 'admin', projectId: parsed.data, roles: ['admin'] });
  },
};

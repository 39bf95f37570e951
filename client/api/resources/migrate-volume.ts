import * as z from 'zod';
import { backEndName } from '../../../model/ids.ts';
import { action, type Action } from '../call.ts';
import { flag, text } from '../fields.ts';
import { badRequest, invalidInput, type Refusals, type Refused } from '../fault.ts';

const migration = z.strictObject({
  host: text,
  cluster: text,
  force_host_copy: flag.default(false),
  lock_volume: flag.default(false),
});

/** The back end of a host as Cinder writes it: `server2@lvmstorage-2`, or with its one pool `#lvmstorage-2`. */
export function backEndOf(host: string): string {
  const [backEnd = '', ...pools] = host.split('#');
  const pool = pools.length === 0 ? undefined : pools.join('#');
  const otherPool = pool !== undefined && pool !== backEnd.slice(backEnd.indexOf('@') + 1);
  if (otherPool || !backEndName.safeParse(backEnd).success) throw noService(host);
  return backEnd;
}

const noService = (host: unknown) => badRequest(`Invalid host: No available service named '${String(host)}'`);
const noServiceAsked = (_: unknown, { body }: Refused) => noService((body as { host?: unknown }).host);

const mayNotMove = (_: unknown, { params }: Refused) =>
  badRequest(
    `Invalid volume: Volume ${params['id']} status must be available or in-use, must not be migrating, have snapshots, ` +
      'be replicated, be part of a group and destination host/cluster must be different than the current one',
  );

/** Cinder's sentences, where it has one; what only Ferry finds wrong is said in Ferry's words, all of it at once. */
const refusals: Refusals = {
  VolumeMigrating: mayNotMove,
  VolumeBusy: mayNotMove,
  VolumeStatusRefused: mayNotMove,
  VolumeHasSnapshots: mayNotMove,
  SameBackEnd: mayNotMove,
  BackEndNotFound: noServiceAsked,
  BackEndDisabled: noServiceAsked,
  BackEndDown: noServiceAsked,
};

export const migrationActions: readonly Action[] = [
  action({
    path: '/volumes/{id}/action',
    action: 'os-migrate_volume',
    summary: 'Move a volume to another back end; answers when the migration has its claim',
    rule: 'volume_extension:volume_admin_actions:migrate_volume',
    status: 202,
    body: migration,
    refusals,
    async handle({ ferry, admin, params, body }) {
      const { volume } = await ferry.findVolume(params['id']!);
      const { host, cluster } = body;
      if ((host ?? null) === null || (cluster ?? null) !== null)
        throw invalidInput('One and only one of cluster and host must be set.');
      const destination = backEndOf(host!);
      await admin.startMigration({ volumeId: volume.id, destination, forceHostCopy: body.force_host_copy });
      return {};
    },
  }),
];

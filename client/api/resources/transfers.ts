import * as z from 'zod';
import type { VisibleTransfer } from '../../transfers.ts';
import { call, type Asked, type Call } from '../call.ts';
import { flag, text } from '../fields.ts';
import { badRequest, type Refusals } from '../fault.ts';
import { labelOf } from '../label.ts';
import { isTrue, listQuery, nextLinks, page } from '../list-query.ts';
import { resourceLinks, type Site } from '../links.ts';
import { timeText } from '../times.ts';

const creation = z.object({ transfer: z.object({ volume_id: z.uuid(), name: text, no_snapshots: flag.nullish() }) });
const acceptance = z.object({ accept: z.object({ auth_key: z.string() }) });

function brief({ id, volumeId, name }: VisibleTransfer, site: Site) {
  return { id, name, volume_id: volumeId, links: resourceLinks(site, `os-volume-transfer/${id}`) };
}

function detailed(transfer: VisibleTransfer, { minor, site }: Pick<Asked, 'minor' | 'site'>) {
  return {
    ...brief(transfer, site),
    created_at: timeText(transfer.createdAt),
    ...(minor >= 55 && { no_snapshots: transfer.noSnapshots }),
    ...(minor >= 57 && { source_project_id: transfer.tenantId, destination_project_id: null, accepted: false }),
  };
}

async function list(asked: Asked, present: (transfer: VisibleTransfer) => object) {
  const query = listQuery(asked.query);
  const allTenants = asked.isAdmin && isTrue(asked.query.get('all_tenants'));
  const all = await asked.ferry.listTransfers({ allTenants });
  const shown = page(all, query, ({ id }) => id);
  const href = `${asked.site.origin}/v3${asked.site.project}/${asked.path}`;
  const links = nextLinks('transfers', { href, query: asked.query, limit: query.limit, shown });
  return { body: { transfers: shown.map(present), ...links } };
}

const createRefusals: Refusals = {
  VolumeStatusRefused: () => badRequest("Invalid volume: status must be 'available'"),
  VolumeMigrating: () => badRequest("Invalid volume: status must be 'available'"),
  VolumeBusy: () => badRequest("Invalid volume: status must be 'available'"),
};

/** The same calls under both paths; the newer one, since 3.55, knows snapshots that stay. */
function callsAt(path: string, since: number): Call[] {
  return [
    call({
      method: 'get',
      path,
      since,
      summary: 'List the offers of volumes by id and name',
      rule: 'volume:get_all_transfers',
      status: 200,
      handle: (asked) => list(asked, (each) => brief(each, asked.site)),
    }),
    call({
      method: 'get',
      path: `${path}/detail`,
      since,
      summary: 'List the offers of volumes',
      rule: 'volume:get_all_transfers',
      status: 200,
      handle: (asked) => list(asked, (each) => detailed(each, asked)),
    }),
    call({
      method: 'post',
      path,
      since,
      summary: 'Offer a volume to whoever knows the key, which is shown this once',
      rule: 'volume:create_transfer',
      status: 202,
      body: creation,
      refusals: createRefusals,
      async handle(asked) {
        const { transfer: wanted } = asked.body;
        const { transfer, authKey } = await asked.ferry.createTransfer({
          volumeId: wanted.volume_id,
          name: labelOf('name', wanted.name),
          noSnapshots: since >= 55 && (wanted.no_snapshots ?? false),
        });
        return { body: { transfer: { ...detailed(transfer, asked), auth_key: authKey } } };
      },
    }),
    call({
      method: 'get',
      path: `${path}/{id}`,
      since,
      summary: 'Show the offer of a volume',
      rule: 'volume:get_transfer',
      status: 200,
      async handle(asked) {
        return { body: { transfer: detailed(await asked.ferry.findTransfer(asked.params['id']!), asked) } };
      },
    }),
    call({
      method: 'post',
      path: `${path}/{id}/accept`,
      since,
      summary: 'Take a volume over',
      rule: 'volume:accept_transfer',
      status: 202,
      body: acceptance,
      async handle(asked) {
        const taken = await asked.ferry.acceptTransfer(asked.params['id']!, asked.body.accept.auth_key);
        return { body: { transfer: brief(taken, asked.site) } };
      },
    }),
    call({
      method: 'delete',
      path: `${path}/{id}`,
      since,
      summary: 'Withdraw the offer of a volume',
      rule: 'volume:delete_transfer',
      status: 202,
      async handle(asked) {
        await asked.ferry.deleteTransfer(asked.params['id']!);
        return {};
      },
    }),
  ];
}

export const transferCalls: readonly Call[] = [
  ...callsAt('/volume-transfers', 55),
  ...callsAt('/os-volume-transfer', 0),
];

import * as z from 'zod';
import { backEnd } from '../model/back-end.ts';
import type { Room } from '../model/placement/choose-place.ts';
import type { PlannedVolume } from '../model/placement/plan-moves.ts';
import { attachment, volume } from '../model/volume.ts';
import { backEndNotFound } from './back-ends.ts';
import type { Queries } from './open-registry.ts';
import { listVolumeTypes } from './volume-types.ts';

/** All that decides what moves where. */
export interface MoveFacts {
  volumes: PlannedVolume[];
  rooms: Room[];
  now: Date;
}

const volumeRow = volume.extend({
  snapshots: z.number(),
  guests: z.array(attachment.pick({ instanceId: true, mode: true })),
});

/** The back ends of a node, or the one back end of that name. `BackEndNotFound` if there is none. */
export async function backEndsOf(q: Queries, nodeOrBackEnd: string): Promise<string[]> {
  const found = await q.rows(
    z.object({ name: z.string() }),
    'SELECT name FROM back_ends WHERE $1 IN (name, node) ORDER BY name',
    [nodeOrBackEnd],
  );
  if (found.length === 0) throw backEndNotFound(nodeOrBackEnd);
  return found.map(({ name }) => name);
}

/** Every back end, and what is promised of it. */
export async function gatherRooms(q: Queries): Promise<Room[]> {
  const rows = await q.rows(
    backEnd.extend({ promisedBytes: z.number() }),
    'SELECT b.*, promised_bytes(b.name) AS promised_bytes FROM back_ends b ORDER BY b.name',
  );
  return rows.map(({ promisedBytes, ...row }) => ({ backEnd: row, promisedBytes }));
}

/** What Postgres' clock says, the only one by which a heartbeat may be judged. */
export async function clock(q: Queries): Promise<Date> {
  const [at] = await q.rows(z.object({ now: z.date() }), 'SELECT now()::timestamptz(3) AS now');
  return at!.now;
}

/** Every back end, and the volumes of some (`sources`) or of all, as they are at the moment. */
export async function gatherMoveFacts(q: Queries, sources: readonly string[] | null): Promise<MoveFacts> {
  const now = await clock(q);
  const types = new Map((await listVolumeTypes(q)).map((type) => [type.name, type]));
  const rows = await q.rows(
    volumeRow,
    `SELECT v.*, (SELECT count(*)::int FROM snapshots s WHERE s.volume_id = v.id) AS snapshots,
       coalesce((SELECT jsonb_agg(jsonb_build_object('instanceId', a.instance_id, 'mode', a.mode))
                 FROM attachments a WHERE a.volume_id = v.id), '[]') AS guests
     FROM volumes v WHERE $1::text[] IS NULL OR v.host = ANY ($1)`,
    [sources],
  );
  return {
    volumes: rows.map(({ snapshots, guests, ...row }) => ({
      volume: row,
      snapshots,
      attachments: guests,
      type: (row.volumeType === null ? null : types.get(row.volumeType)) ?? null,
    })),
    rooms: await gatherRooms(q),
    now,
  };
}

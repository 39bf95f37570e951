import * as z from 'zod';
import { backEnd } from '../model/back-end.ts';
import type { PlannedVolume, Room } from '../model/plan-moves.ts';
import { attachment, volume } from '../model/volume.ts';
import { backEndNotFound } from './back-ends.ts';
import type { Queries } from './open-registry.ts';

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

/** Every back end, and the volumes of some (`sources`) or of all, as they are at the moment. */
export async function gatherMoveFacts(q: Queries, sources: readonly string[] | null): Promise<MoveFacts> {
  const backEnds = await q.rows(backEnd, 'SELECT * FROM back_ends ORDER BY name');
  const promised = await q.rows(
    z.object({ name: z.string(), promisedBytes: z.number(), now: z.date() }),
    'SELECT name, promised_bytes(name) AS promised_bytes, now()::timestamptz(3) AS now FROM back_ends',
  );
  const rows = await q.rows(
    volumeRow,
    `SELECT v.*, (SELECT count(*)::int FROM snapshots s WHERE s.volume_id = v.id) AS snapshots,
       coalesce((SELECT jsonb_agg(jsonb_build_object('instanceId', a.instance_id, 'mode', a.mode))
                 FROM attachments a WHERE a.volume_id = v.id), '[]') AS guests
     FROM volumes v WHERE $1::text[] IS NULL OR v.host = ANY ($1)`,
    [sources],
  );
  const bytes = new Map(promised.map(({ name, promisedBytes }) => [name, promisedBytes]));
  return {
    volumes: rows.map(({ snapshots, guests, ...row }) => ({ volume: row, snapshots, attachments: guests })),
    rooms: backEnds.map((each) => ({ backEnd: each, promisedBytes: bytes.get(each.name) ?? 0 })),
    now: promised[0]?.now ?? new Date(),
  };
}

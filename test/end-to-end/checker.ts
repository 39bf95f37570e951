import assert from 'node:assert/strict';
import pg from 'pg';
import { filledParts, type Place, type Sight } from './sight.ts';

/**
 * Looks at a volume the way somebody would who knows nothing of how Ferry works: rows in Postgres, devices and processes on the nodes,
 * bytes on the devices.
 */
export interface Checker {
  /** SHA-256 of the volume's device, found through the registry's row. */
  contents(volumeId: string): Promise<string>;
  /** Writes recognizable data: `mib` MiB of random bytes at each of the places of `filledParts`; the rest stays zero. */
  fill(volumeId: string, mib?: number): Promise<string>;
  /**
   * The volume is wholly where `host` says, with `contents`, free, and nothing else of it is left anywhere. Polls: what a node
   * that was away must still take away may take a little; `meanwhile` is done before each new look.
   */
  assertAt(volumeId: string, expected: Expected & { contents: string }, polling?: Polling): Promise<void>;
  /** All but the bytes: everything that is not as it must be; empty when all is well. */
  complaints(volumeId: string, expected: Expected): Promise<string[]>;
  /** The last migration that the registry has of the volume; null: it has none. */
  lastMigration(volumeId: string): Promise<string | null>;
}

export interface Expected {
  host: string;
  /** What the record of the volume's last migration says; one of several; `null` for none. */
  outcome?: string | readonly (string | null)[];
  /** The back ends that keep a source of it; none if not given. */
  kept?: readonly string[];
  /** The volume's last migration before: if it is the last one still, there is no record. */
  after?: string | null;
  /** The export that a guest has it through, the only one that may be there; null: none, it is a device of the hypervisor's own. */
  guest?: { exportName: string | null };
}

export interface Polling {
  /** Milliseconds. */
  settleMs?: number;
  meanwhile?: () => Promise<unknown>;
}

interface VolumeRow {
  host: string;
  size_bytes: string;
  name_id: string | null;
  status: string;
  migration_status: string | null;
  migration_owner: string | null;
  generation: string;
}

/** All but what of the volume's row is kept on the device. */
const tellsWhatItIs = (tag: string) => !/^ferry\.(tenant|name|type|mode)=/.test(tag);

/** How long clean-up may take on a machine under load. Milliseconds. */
const usualSettleMs = 300_000;

export function createChecker(sight: Sight, databaseUrl: () => string): Checker {
  const query = async <T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<T[]> => {
    const client = new pg.Client({ connectionString: databaseUrl() });
    // A question under way is told by its own rejection; unheard, the event would end the process.
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<T>(sql, values)).rows;
    } finally {
      await client.end();
    }
  };
  const row = async (volumeId: string): Promise<VolumeRow> => {
    const [found] = await query<VolumeRow>('SELECT * FROM volumes WHERE id = $1', [volumeId]);
    assert.ok(found, `volume ${volumeId} has no row`);
    return found;
  };
  const place = async (volumeId: string): Promise<Place> => {
    const { host, name_id } = await row(volumeId);
    const [node, group] = host.split('@') as [string, string];
    return [node, group, `volume-${name_id ?? volumeId}`];
  };

  const recordsOf = (volumeId: string) =>
    query<{ id: string; outcome: string | null; destination_name_id: string | null }>(
      'SELECT id, outcome, destination_name_id FROM migrations WHERE volume_id = $1 ORDER BY started_at DESC',
      [volumeId],
    );

  const complaints: Checker['complaints'] = async (volumeId, expected) => {
    const found: string[] = [];
    const volume = await row(volumeId);
    if (volume.host !== expected.host) found.push(`host is ${volume.host}`);
    if (volume.migration_status !== null || volume.migration_owner !== null)
      found.push(`still claimed: ${volume.migration_status} by ${volume.migration_owner}`);
    const statuses = expected.guest ? ['in-use'] : ['available', 'in-use'];
    if (!statuses.includes(volume.status)) found.push(`status is ${volume.status}`);
    const own = `${volume.host}/volume-${volume.name_id ?? volumeId} ferry.generation=${volume.generation},ferry.role=live,ferry.volume=${volumeId}`;
    const kept = await query<{ migration_id: string; back_end: string; name_id: string | null; generation: string }>(
      'SELECT migration_id, back_end, name_id, generation FROM kept_sources WHERE volume_id = $1 ORDER BY back_end',
      [volumeId],
    );
    const keptOn = kept.map((k) => k.back_end);
    if (keptOn.join() !== (expected.kept ?? []).join()) found.push(`kept sources on: ${JSON.stringify(keptOn)}`);
    const devices = [
      own,
      ...kept.map(
        (k) =>
          `${k.back_end}/volume-${k.name_id ?? volumeId} ferry.generation=${k.generation},ferry.held=${k.migration_id},ferry.kept=${k.migration_id},ferry.role=kept,ferry.volume=${volumeId}`,
      ),
    ].toSorted();
    const all = (await sight.devices())
      .map(
        ({ place: [node, group, device], tags }) =>
          `${node}@${group}/${device} ${tags.filter(tellsWhatItIs).toSorted().join(',')}`,
      )
      .filter((line) => line.includes(volumeId))
      .toSorted();
    if (all.join() !== devices.join())
      found.push(`devices: ${JSON.stringify(all)}, expected only ${devices.join(' and ')}`);
    const records = await recordsOf(volumeId);
    const names = [volumeId, ...records.flatMap((record) => [record.id, record.destination_name_id ?? record.id])];
    const servers = (await sight.exports()).filter((line) => names.some((name) => line.includes(name)));
    const wanted = servers.filter((line) => expected.guest?.exportName && line.includes(expected.guest.exportName));
    if (servers.length > wanted.length) found.push(`exports left: ${JSON.stringify(servers)}`);
    if (expected.guest?.exportName && wanted.length !== 1)
      found.push(`${wanted.length} exports ${expected.guest.exportName}`);
    const [last] = records;
    const outcome = last && last.id !== expected.after ? last.outcome : null;
    if (expected.outcome !== undefined && ![expected.outcome].flat().includes(outcome))
      found.push(`recorded outcome is ${outcome}`);
    return found;
  };

  const contents = async (volumeId: string) => sight.digest(await place(volumeId));
  return {
    contents,
    async fill(volumeId, mib) {
      const sizeMib = Number((await row(volumeId)).size_bytes) / 1024 ** 2;
      await sight.fill(await place(volumeId), filledParts(sizeMib, mib));
      return contents(volumeId);
    },
    async assertAt(volumeId, expected, polling) {
      await settle(() => complaints(volumeId, expected), polling);
      assert.equal(await contents(volumeId), expected.contents, 'the bytes are not the same');
    },
    complaints,
    async lastMigration(volumeId) {
      return (await recordsOf(volumeId))[0]?.id ?? null;
    },
  };
}

/** Looks until there is nothing to complain of, or what is left is not taken away any more. */
export async function settle(
  complaints: () => Promise<string[]>,
  { settleMs = usualSettleMs, meanwhile }: Polling = {},
): Promise<void> {
  const deadline = Date.now() + settleMs;
  let left = await complaints();
  while (left.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await meanwhile?.();
    left = await complaints();
  }
  assert.deepEqual(left, []);
}

import assert from 'node:assert/strict';
import pg from 'pg';
import type { StorageNodes } from '../../testbed/nodes.ts';

/**
 * Looks at a volume the way somebody would who knows nothing of how Ferry works: rows in Postgres, logical volumes and processes on
 * the nodes, bytes on the devices.
 */
export interface Checker {
  /** SHA-256 of the volume's device, found through the registry's row. */
  contents(volumeId: string): Promise<string>;
  /** Writes recognizable data: random bytes at the start, in the middle and at the end; the rest stays zero. */
  fill(volumeId: string): Promise<string>;
  /**
   * The volume is wholly where `host` says, with `contents`, free, and nothing else of it is left anywhere. Polls: what a node
   * that was away must still take away may take a little.
   */
  assertAt(volumeId: string, expected: { host: string; contents: string; outcome?: string }): Promise<void>;
}

interface VolumeRow {
  host: string;
  name_id: string | null;
  status: string;
  migration_status: string | null;
  migration_owner: string | null;
}

/** How long clean-up may take on a machine under load. Milliseconds. */
const settleMs = 90_000;

export function createChecker(nodes: StorageNodes, nodeNames: readonly string[], databaseUrl: () => string): Checker {
  const query = async <T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<T[]> => {
    const client = new pg.Client({ connectionString: databaseUrl() });
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
  const place = async (volumeId: string) => {
    const { host, name_id } = await row(volumeId);
    const [node, group] = host.split('@') as [string, string];
    return { node, path: `/dev/${group}/volume-${name_id ?? volumeId}` };
  };
  const digest = async (node: string, path: string) =>
    (await nodes.exec(node, ['openssl', 'dgst', '-sha256', '-r', path])).stdout.split(' ')[0]!;

  /** Every logical volume of Ferry on every node: `node/group/name tags`. */
  const devices = async (): Promise<string[]> => {
    const lists = await Promise.all(
      nodeNames.map(async (node) => {
        const { stdout } = await nodes.exec(node, ['lvs', '--reportformat', 'json', '-o', 'vg_name,lv_name,lv_tags']);
        const report = JSON.parse(stdout) as {
          report: { lv: { vg_name: string; lv_name: string; lv_tags: string }[] }[];
        };
        return report.report[0]!.lv.map((lv) => `${node}@${lv.vg_name}/${lv.lv_name} ${lv.lv_tags}`);
      }),
    );
    return lists.flat();
  };

  /** Export servers and copiers, as `node: command line`. */
  const processes = async (): Promise<string[]> => {
    const lists = await Promise.all(
      nodeNames.map(async (node) => {
        const script = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null; echo; done';
        const { stdout } = await nodes.exec(node, ['sh', '-c', script]);
        return stdout
          .split('\n')
          .filter((line) => /^\S*qemu-nbd /.test(line))
          .map((line) => `${node}: ${line}`);
      }),
    );
    return lists.flat();
  };

  /** Everything that is not as it must be; empty when all is well. */
  const complaints = async (
    volumeId: string,
    expected: { host: string; contents: string; outcome?: string },
  ): Promise<string[]> => {
    const found: string[] = [];
    const volume = await row(volumeId);
    if (volume.host !== expected.host) found.push(`host is ${volume.host}`);
    if (volume.migration_status !== null || volume.migration_owner !== null)
      found.push(`still claimed: ${volume.migration_status} by ${volume.migration_owner}`);
    if (volume.status !== 'available' && volume.status !== 'in-use') found.push(`status is ${volume.status}`);
    const own = `${volume.host}/volume-${volume.name_id ?? volumeId}`;
    const all = (await devices()).filter((d) => d.includes(`ferry.volume=${volumeId}`) || d.includes(volumeId));
    if (all.length !== 1 || all[0] !== `${own} ferry.volume=${volumeId}`)
      found.push(`devices: ${JSON.stringify(all)}, expected only ${own}`);
    const servers = await processes();
    if (servers.length > 0) found.push(`exports left: ${JSON.stringify(servers)}`);
    const [record] = await query<{ outcome: string | null }>(
      'SELECT outcome FROM migrations WHERE volume_id = $1 ORDER BY started_at DESC LIMIT 1',
      [volumeId],
    );
    if (expected.outcome && record?.outcome !== expected.outcome) found.push(`recorded outcome is ${record?.outcome}`);
    return found;
  };

  return {
    async contents(volumeId) {
      const { node, path } = await place(volumeId);
      return digest(node, path);
    },
    async fill(volumeId) {
      const { node, path } = await place(volumeId);
      for (const seek of [0, 500, 992]) {
        await nodes.exec(node, [
          'dd',
          'if=/dev/urandom',
          `of=${path}`,
          'bs=1M',
          'count=32',
          `seek=${seek}`,
          'oflag=direct',
          'conv=notrunc',
        ]);
      }
      return digest(node, path);
    },
    async assertAt(volumeId, expected) {
      const deadline = Date.now() + settleMs;
      let left = await complaints(volumeId, expected);
      while (left.length > 0 && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        left = await complaints(volumeId, expected);
      }
      assert.deepEqual(left, []);
      const { node, path } = await place(volumeId);
      assert.equal(await digest(node, path), expected.contents, 'the bytes are not the same');
    },
  };
}

import assert from 'node:assert/strict';
import { join } from 'node:path';
import pg from 'pg';
import { readRecords } from '../../testbed/guest/records.ts';
import type { Guest, Hypervisor } from '../activities/compute/hypervisor.ts';
import { createChecker, type Checker, type Expected, type Polling, settle } from './checker.ts';
import { directorySight } from './sight.ts';

/** A volume that a guest has and writes to, and what must not change of it. */
export interface GuestDisk {
  readonly id: string;
  readonly attachmentId: string;
  readonly device: string;
  readonly guest: Guest;
  /** How much of it holds known data, from its start: blocks of content, and records in place of some of them. The rest is zeros. */
  readonly filledBytes: number;
}

/**
 * Looks at volumes that guests have, as the checker of the others does: rows, devices, exports; and at libvirt, QEMU, and every record
 * that a guest was told to be on its disk.
 */
export class AttachedChecker {
  readonly #checker: Checker;
  readonly #nodes: string;
  readonly #databaseUrl: () => string;
  readonly #hypervisor: Hypervisor;
  /** A guest is held still by one look at a time. */
  readonly #turns = new Map<string, Promise<void>>();

  /** `nodes`: the folder that has a folder for each node of directories. */
  constructor(nodes: string, databaseUrl: () => string, hypervisor: Hypervisor) {
    this.#checker = createChecker(directorySight(nodes), databaseUrl);
    this.#nodes = nodes;
    this.#databaseUrl = databaseUrl;
    this.#hypervisor = hypervisor;
  }

  lastMigration(volumeId: string): Promise<string | null> {
    return this.#checker.lastMigration(volumeId);
  }

  /**
   * The guest goes on writing to the volume, which is wholly on `host`, with every record and every block of its content; what a tenant
   * sees of it is as it was; and nothing else of it is left anywhere. Polls: clean-up may take a little.
   */
  async assertAt(disk: GuestDisk, expected: Omit<Expected, 'guest'>, polling?: Polling): Promise<void> {
    await settle(() => this.#complaints(disk, expected), polling);
    const acked = await disk.guest.console.progress(disk.device, 5);
    const image = await this.#image(disk);
    const found = await this.#heldStill(disk.guest, () => readRecords(image));
    assert.deepEqual([found.torn, found.missing], [0, []]);
    assert.ok(found.highest >= acked, `record ${acked} was acknowledged, ${found.highest} is the last one there`);
    assert.equal(found.fillers + found.records, disk.filledBytes / 4096, 'blocks of the content are lost');
    const { errors, complaints } = await disk.guest.console.disk(disk.device);
    assert.deepEqual([errors, complaints], [0, []], 'the guest saw an error');
  }

  async #complaints(disk: GuestDisk, expected: Omit<Expected, 'guest'>): Promise<string[]> {
    const attachments = await this.#query<{ id: string; device: string; status: string; connection: Connection }>(
      'SELECT * FROM attachments WHERE volume_id = $1',
      [disk.id],
    );
    const [attachment] = attachments;
    if (!attachment || attachments.length > 1) return [`${attachments.length} attachments`];
    const { connection } = attachment;
    const exportName = connection.protocol === 'nbd' ? connection.exportName : null;
    const found = await this.#checker.complaints(disk.id, { ...expected, guest: { exportName } });
    if (attachment.id !== disk.attachmentId) found.push(`attachment is ${attachment.id}`);
    if (attachment.device !== disk.device) found.push(`device is ${attachment.device}`);
    if (attachment.status !== 'attached') found.push(`the attachment is ${attachment.status}`);
    const image = await this.#image(disk);
    if (connection.backEnd !== expected.host || !image.endsWith(`/${connection.device}`))
      found.push(`connection: ${JSON.stringify(connection)}`);
    const { virsh } = this.#hypervisor;
    const domain = disk.guest.name;
    const place = exportName === null ? `="${image}"` : `name="${exportName}"`;
    for (const which of [[], ['--inactive']]) {
      const xml = (await virsh('dumpxml', '--domain', domain, ...which)).replaceAll("'", '"');
      const own = xml.split('<disk ').filter((part) => part.includes(`<serial>${disk.id}</serial>`));
      if (own.length !== 1 || !own[0]!.includes(place) || !own[0]!.includes(`dev="${disk.device}"`))
        found.push(`the ${which[0] ?? 'live'} definition does not name ${place}: ${own.join()}`);
      if (own.some((part) => part.includes('<mirror'))) found.push('a mirror is left');
    }
    const jobs = await virsh('qemu-monitor-command', '--domain', domain, '--cmd', '{"execute":"query-block-jobs"}');
    if (jobs.includes(`"copy-${disk.device}-`)) found.push(`QEMU has a job: ${jobs}`);
    return found;
  }

  /** The file that holds the volume, as the registry has it. */
  async #image({ id }: GuestDisk): Promise<string> {
    const [row] = await this.#query<{ host: string; name_id: string | null }>('SELECT * FROM volumes WHERE id = $1', [
      id,
    ]);
    return join(this.#nodes, ...row!.host.split('@'), 'volumes', `volume-${row!.name_id ?? id}`);
  }

  async #heldStill<T>(guest: Guest, look: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(guest.name);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.set(guest.name, promise);
    await before;
    const { virsh } = this.#hypervisor;
    try {
      await virsh('suspend', '--domain', guest.name);
      return await look();
    } finally {
      await virsh('resume', '--domain', guest.name).finally(resolve);
    }
  }

  async #query<T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.#databaseUrl() });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<T>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }
}

interface Connection {
  protocol: string;
  exportName: string;
  backEnd: string;
  device: string;
}

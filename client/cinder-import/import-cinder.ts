import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { backEndName } from '../../model/ids.ts';
import type { Capabilities } from '../../model/volume-type.ts';
import { findBackEnd } from '../../registry/back-ends.ts';
import { forgottenAmong } from '../../registry/operations.ts';
import { statusesAmong } from '../../registry/statuses.ts';
import { addTypeAccess } from '../../registry/volume-type-access.ts';
import { createVolumeType, listVolumeTypes } from '../../registry/volume-types.ts';
import { discoverOn } from '../adoption.ts';
import type { Context } from '../context.ts';
import { requireAdmin } from '../identity.ts';
import { parseInput } from '../parse-input.ts';
import { run } from '../volume-operations.ts';
import {
  livingAmong,
  planImport,
  unknownHosts,
  type FoundOn,
  type ImportPlan,
  type Known,
  type PlannedSnapshot,
  type PlannedType,
  type PlannedVolume,
} from './plan-import.ts';
import { readCinder, readCinderServices } from './read-cinder.ts';

const request = z.object({
  /** As in Cinder's `[database] connection`. */
  databaseUrl: z.string().min(1),
  /** Of each host of Cinder's, `node@backend` or `node@backend#pool`, the back end of Ferry's on the same storage. */
  backEnds: z
    .record(z.string().regex(/^[^@\s]+@[^@\s]+$/, "is not a host of Cinder's (expected node@backend)"), backEndName)
    .refine((given) => Object.keys(given).length > 0, 'names no back end'),
});
type ImportRequest = z.input<typeof request>;

/** For administrators: takes over volumes from a Cinder, where they are. */
export function cinderImportCommands(context: Context) {
  return {
    /** What would become of each volume that a Cinder has on these hosts. Asks its database, the registry, and the nodes. */
    async planCinderImport(input: ImportRequest): Promise<ImportPlan> {
      requireAdmin(context.identity, 'import volumes');
      return planFor(context, parseInput(request, input));
    },

    /**
     * Makes the volumes that a Cinder has on these hosts Ferry's, in place, with their ids; no byte of them is touched, and nothing is written
     * to Cinder's database. What cannot be taken stays as it is, with the reason. Run again it does the rest. `InvalidInput` while a
     * cinder-volume of theirs lives; one that begins to live meanwhile ends it, as does a service that cannot be reached: `stopped`
     * says why.
     */
    async importCinder(input: ImportRequest): Promise<ImportPlan> {
      requireAdmin(context.identity, 'import volumes');
      const wanted = parseInput(request, input);
      const plan = await planFor(context, wanted);
      if (plan.livingHosts.length > 0) throw stillLives(plan.livingHosts);
      for (const type of plan.types) if (!type.isThere) await makeType(context, type);
      const work = new Import(context, wanted);
      const byBackEnd = Map.groupBy(plan.volumes, ({ backEnd }) => backEnd);
      // The nodes work side by side, each at one volume after the other.
      const done = await Promise.all([...byBackEnd.values()].map((volumes) => work.takeAll(volumes)));
      return { ...plan, volumes: done.flat(), stopped: work.stopped };
    },
  };
}

function stillLives(hosts: readonly string[]): FerryError {
  return new FerryError(
    'InvalidInput',
    `cinder-volume of ${hosts.join(', ')} lives: it would go on changing and deleting what becomes Ferry's. Stop it, and wait a minute.`,
    { hosts },
  );
}

async function planFor(context: Context, wanted: z.output<typeof request>): Promise<ImportPlan> {
  const { registry } = context;
  const mapping = new Map(Object.entries(wanted.backEnds));
  const capabilities = new Map<string, Capabilities>();
  for (const name of mapping.values()) capabilities.set(name, (await findBackEnd(registry, name)).capabilities);
  const cinder = await readCinder(wanted.databaseUrl);
  const unknown = unknownHosts(cinder, mapping);
  if (unknown.length > 0)
    throw new FerryError(
      'InvalidInput',
      `back-end: Cinder knows no host ${unknown.join(', ')}. Its hosts are told by: cinder service-list`,
      { fields: ['back-end'] },
    );
  const ids = uuidsOf(cinder.volumes);
  // The devices first: what becomes Ferry's meanwhile is then in the registry.
  const known: Known = {
    devices: await discoverAll(context, new Set(mapping.values())),
    capabilities,
    types: new Map((await listVolumeTypes(registry)).map(({ name, extraSpecs }) => [name, extraSpecs])),
    volumes: await statusesAmong(registry, 'volumes', ids),
    forgotten: await forgottenAmong(registry, ids),
    snapshots: await statusesAmong(registry, 'snapshots', uuidsOf(cinder.snapshots)),
  };
  return planImport(cinder, mapping, known);
}

/** What is none is refused by the plan. */
function uuidsOf(rows: readonly { id: string }[]): string[] {
  return rows.map(({ id }) => id).filter((id) => z.uuid().safeParse(id).success);
}

async function discoverAll(context: Context, backEnds: ReadonlySet<string>): Promise<Known['devices']> {
  const asked = [...backEnds].map(async (backEnd): Promise<[string, FoundOn]> => {
    try {
      const found = await discoverOn(context, backEnd);
      return [backEnd, new Map(found.map((each) => [each.name, each]))];
    } catch (error) {
      return [backEnd, { unseen: refusalIn(error) }];
    }
  });
  return new Map(await Promise.all(asked));
}

/** With whom it is for, or not at all. Made meanwhile by another import: that is the one. */
async function makeType({ registry }: Context, type: PlannedType): Promise<void> {
  const { name, description, extraSpecs, isPublic, tenants } = type;
  try {
    await registry.transaction(async (q) => {
      const made = await createVolumeType(q, { name, description, extraSpecs, isPublic });
      if (!isPublic) for (const tenant of tenants) await addTypeAccess(q, made, tenant);
    });
  } catch (error) {
    if (!(error instanceof FerryError && error.type === 'VolumeTypeExists')) throw error;
  }
}

interface Outcome {
  state: 'imported' | 'failed';
  reason: string | null;
}

/** How long Cinder's silence is believed. Milliseconds. */
const lookAgainMs = 5_000;

/** One import under way: it takes volumes until it is stopped. */
class Import {
  /** Why nothing more is taken; null: nothing is in the way. */
  stopped: string | null = null;
  readonly #context: Context;
  readonly #databaseUrl: string;
  readonly #mapping: ReadonlyMap<string, string>;
  #looked = Date.now();

  constructor(context: Context, { databaseUrl, backEnds }: z.output<typeof request>) {
    this.#context = context;
    this.#databaseUrl = databaseUrl;
    this.#mapping = new Map(Object.entries(backEnds));
  }

  async takeAll(volumes: readonly PlannedVolume[]): Promise<PlannedVolume[]> {
    const done: PlannedVolume[] = [];
    for (const volume of volumes) done.push(await this.#takeVolume(volume));
    return done;
  }

  /** The volume, then its snapshots. One that fails keeps no other back. */
  async #takeVolume(volume: PlannedVolume): Promise<PlannedVolume> {
    const taken = await this.#take(volume, () => this.#manageVolume(volume));
    if (taken.state === 'failed') {
      const kept = { state: 'refused' as const, reason: 'its volume failed' };
      return {
        ...taken,
        snapshots: taken.snapshots.map((each) => (each.state === 'to import' ? { ...each, ...kept } : each)),
      };
    }
    const snapshots: PlannedSnapshot[] = [];
    for (const each of taken.snapshots) {
      const isNext = taken.state === 'imported';
      snapshots.push(isNext ? await this.#take(each, () => this.#manageSnapshot(volume.id, each)) : each);
    }
    return { ...taken, snapshots };
  }

  /** Of what is to be imported how that went; all else as it is. */
  async #take<P extends PlannedVolume | PlannedSnapshot>(planned: P, work: () => Promise<Outcome>): Promise<P> {
    if (planned.state !== 'to import' || this.stopped !== null) return planned;
    try {
      await this.#mustBeSilent();
      return { ...planned, ...(await work()) };
    } catch (error) {
      this.stopped ??= error instanceof FerryError ? error.message : String(error);
      return planned;
    }
  }

  /** A cinder-volume may be started again at any time, by what watches over it. */
  async #mustBeSilent(): Promise<void> {
    if (Date.now() - this.#looked < lookAgainMs) return;
    const living = livingAmong(await readCinderServices(this.#databaseUrl), this.#mapping);
    if (living.length > 0) throw stillLives(living);
    this.#looked = Date.now();
  }

  async #manageVolume(volume: PlannedVolume): Promise<Outcome> {
    const { id, deviceName, backEnd, tenantId, userId, name, description, bootable, nameId, metadata } = volume;
    const begun = run(this.#context, {
      workflow: 'manageVolume',
      name: 'manage',
      subject: id,
      summary: `take volume ${id} over from Cinder, on ${backEnd}`,
      input: {
        ...{ volumeId: id, deviceName, backEnd, tenantId, userId, name, description, bootable, nameId, metadata },
        volumeType: volume.volumeType,
        readOnly: volume.readOnly || null,
        snapshots: volume.snapshots.filter(({ state }) => state === 'to import').map((each) => each.deviceName),
        beyondQuota: true,
      },
      isAwaited: true,
    });
    return outcomeOf(begun, async () => (await statusesAmong(this.#context.registry, 'volumes', [id])).get(id));
  }

  async #manageSnapshot(volumeId: string, snapshot: PlannedSnapshot): Promise<Outcome> {
    const { id, deviceName, name, description, metadata, userId } = snapshot;
    const begun = run(this.#context, {
      workflow: 'manageSnapshot',
      name: 'manage-snapshot',
      subject: volumeId,
      summary: `take snapshot ${id} of volume ${volumeId} over from Cinder`,
      input: { volumeId, snapshotId: id, deviceName, name, description, metadata, userId, beyondQuota: true },
      isAwaited: true,
    });
    return outcomeOf(begun, async () => (await statusesAmong(this.#context.registry, 'snapshots', [id])).get(id));
  }
}

/** Another import may have been faster: then it is there. */
async function outcomeOf(operation: Promise<unknown>, status: () => Promise<string | undefined>): Promise<Outcome> {
  try {
    await operation;
    return { state: 'imported', reason: null };
  } catch (error) {
    const reason = refusalIn(error);
    const now = await status();
    return now === undefined || now === 'creating' ? { state: 'failed', reason } : { state: 'imported', reason: null };
  }
}

/** What Ferry refuses is of this one; without Temporal or Postgres there is no going on. */
function refusalIn(error: unknown): string {
  if (error instanceof FerryError && error.type !== 'ServiceUnreachable') return error.message;
  throw error;
}

import { tenantId, volumeId } from '../../model/ids.ts';
import { deviceName, nameIdOf, snapshotDeviceName } from '../../model/names.ts';
import { label, metadata } from '../../model/text.ts';
import type { UnmanagedDevice } from '../../model/unmanaged-device.ts';
import { extraSpecs, lackedBy, type Capabilities } from '../../model/volume-type.ts';
import type { CinderRecords, CinderService, CinderSnapshot, CinderType, CinderVolume } from './read-cinder.ts';

const gib = 1024 ** 3;

/** The type that Cinder gives a volume for which none was asked. Ferry has volumes without one. */
const noType = '__DEFAULT__';

/** `to import`: nothing is in its way. `imported`: Ferry has it. `refused`: it stays Cinder's, and why. `failed`: it was tried. */
export type ImportState = 'to import' | 'imported' | 'refused' | 'failed';

export interface PlannedSnapshot {
  id: string;
  name: string | null;
  description: string | null;
  metadata: Record<string, string>;
  userId: string | null;
  deviceName: string;
  state: ImportState;
  reason: string | null;
  /** What of it does not come along. */
  notes: string[];
}

export interface PlannedVolume {
  id: string;
  /** The id that its device is named after, when that is not its own: Cinder has migrated it. */
  nameId: string | null;
  name: string | null;
  description: string | null;
  tenantId: string;
  userId: string | null;
  volumeType: string | null;
  metadata: Record<string, string>;
  bootable: boolean;
  readOnly: boolean;
  /** Bytes, as Cinder has it. */
  sizeBytes: number;
  /** Where Cinder has it: `node@backend#pool`. */
  cinderHost: string;
  backEnd: string;
  deviceName: string;
  state: ImportState;
  reason: string | null;
  /** What of it does not come along. */
  notes: string[];
  snapshots: PlannedSnapshot[];
}

export interface PlannedType {
  name: string;
  /** Ferry has one of that name: that is the one. */
  isThere: boolean;
  description: string | null;
  extraSpecs: Capabilities;
  isPublic: boolean;
  tenants: string[];
  notes: string[];
}

export interface ImportPlan {
  volumes: PlannedVolume[];
  /** The volume types of those that are to be imported. */
  types: PlannedType[];
  /** Where else Cinder has volumes, and how many. */
  elsewhere: { host: string; volumes: number }[];
  /** The mapped hosts whose cinder-volume lives: it would go on changing what becomes Ferry's. */
  livingHosts: string[];
  /** Why it ended before its time; what was not tried by then is `to import`. */
  stopped: string | null;
}

/** What is on a back end and none of Ferry's, by name; or why its node did not tell. */
export type FoundOn = ReadonlyMap<string, UnmanagedDevice> | { unseen: string };

/** What Ferry has, or its nodes found. */
export interface Known {
  /** The statuses of theirs that are Ferry's already, by id. */
  volumes: ReadonlyMap<string, string>;
  snapshots: ReadonlyMap<string, string>;
  /** Ids of theirs that were Ferry's, and were deleted or unmanaged. */
  forgotten: ReadonlySet<string>;
  /** What Ferry's own volume types ask for, by name. */
  types: ReadonlyMap<string, Capabilities>;
  /** Of each back end. */
  capabilities: ReadonlyMap<string, Capabilities>;
  devices: ReadonlyMap<string, FoundOn>;
}

/** The back end for a host of Cinder's: with its pool, if that was said, else for all of its pools. */
export function backEndFor(host: string | null, mapping: ReadonlyMap<string, string>): string | undefined {
  if (host === null) return undefined;
  return mapping.get(host) ?? mapping.get(withoutPool(host));
}

/** The hosts of the mapping whose cinder-volume lives. */
export function livingAmong(services: readonly CinderService[], mapping: ReadonlyMap<string, string>): string[] {
  const named = new Set([...mapping.keys()].map(withoutPool));
  return services
    .filter(({ host, lives }) => lives && named.has(host))
    .map(({ host }) => host)
    .toSorted();
}

/** What of the mapping Cinder knows nothing of: it has neither a volume nor a cinder-volume there. */
export function unknownHosts({ volumes, services }: CinderRecords, mapping: ReadonlyMap<string, string>): string[] {
  const known = new Set([
    ...volumes.flatMap(({ host }) => (host === null ? [] : [host, withoutPool(host)])),
    ...services.map(({ host }) => host),
  ]);
  return [...mapping.keys()].filter((host) => !known.has(host));
}

const byId = (a: { id: string }, b: { id: string }) => a.id.localeCompare(b.id);

function withoutPool(host: string): string {
  return host.split('#', 1)[0]!;
}

/** What becomes of each volume that Cinder has on the hosts that were named. Pure. */
export function planImport(cinder: CinderRecords, mapping: ReadonlyMap<string, string>, known: Known): ImportPlan {
  const [volumes, elsewhere] = [[] as PlannedVolume[], new Map<string, number>()];
  const around = {
    known,
    byDevice: Map.groupBy(cinder.volumes, placeOf),
    snapshotsOf: Map.groupBy(cinder.snapshots, (each) => each.volume_id),
    typeNames: new Map(cinder.types.map(({ id, name }) => [id, name])),
  };
  for (const volume of cinder.volumes) {
    const backEnd = backEndFor(volume.host, mapping);
    if (backEnd === undefined)
      elsewhere.set(volume.host ?? 'no host', (elsewhere.get(volume.host ?? 'no host') ?? 0) + 1);
    else volumes.push(planVolume(volume, { ...around, backEnd }));
  }
  const homesOf = (type: string | null) => {
    const homes = volumes.filter((each) => each.state === 'to import' && each.volumeType === type);
    return [...new Set(homes.map(({ backEnd }) => backEnd))].map((name) => ({
      name,
      capabilities: known.capabilities.get(name) ?? {},
    }));
  };
  const types = cinder.types.flatMap((type) => {
    const homes = homesOf(type.name);
    return homes.length > 0 ? [planType(type, homes, known.types.get(type.name ?? ''))] : [];
  });
  return {
    volumes: volumes.toSorted((a, b) => a.backEnd.localeCompare(b.backEnd) || byId(a, b)),
    types,
    elsewhere: [...elsewhere]
      .map(([host, count]) => ({ host, volumes: count }))
      .toSorted((a, b) => a.host.localeCompare(b.host)),
    livingHosts: livingAmong(cinder.services, mapping),
    stopped: null,
  };
}

/** Where Cinder has the volume's bytes. */
function placeOf(volume: CinderVolume): string {
  return `${volume.host}/${deviceName(volume)}`;
}

interface Surroundings {
  known: Known;
  /** Cinder's records of each device: more than one is a mistake of Cinder's. */
  byDevice: ReadonlyMap<string, readonly CinderVolume[]>;
  snapshotsOf: ReadonlyMap<string | null, readonly CinderSnapshot[]>;
  /** By the type's id. */
  typeNames: ReadonlyMap<string, string | null>;
  backEnd: string;
}

function planVolume(volume: CinderVolume, around: Surroundings): PlannedVolume {
  const { known, backEnd } = around;
  const { id, nameId } = volume;
  const name = deviceName({ id, nameId });
  const devices = known.devices.get(backEnd) ?? { unseen: 'it was not asked' };
  const there = known.volumes.get(id);
  const snapshots = (around.snapshotsOf.get(id) ?? [])
    .toSorted(byId)
    .map((each) => planSnapshot(each, { known, devices, volume }));
  const kept = tellable(volume);
  const type = around.typeNames.get(volume.volume_type_id ?? '') ?? null;
  const why =
    there === undefined
      ? (reasonOfCinder(volume, around) ?? reasonOfDevice(volume, name, { devices, snapshots }))
      : reasonUnderWay(there);
  const refused = why !== null;
  return {
    id,
    nameId,
    name: kept.name,
    description: kept.description,
    tenantId: volume.project_id ?? '',
    userId: kept.userId,
    volumeType: type === noType ? null : type,
    metadata: kept.metadata,
    bootable: volume.bootable,
    readOnly: volume.readOnly,
    sizeBytes: (volume.size ?? 0) * gib,
    cinderHost: volume.host ?? '',
    backEnd,
    deviceName: name,
    state: stateOf(there, why),
    reason: why,
    notes: [
      ...kept.notes,
      ...(volume.multiattach ? ['it may be attached to one server at a time here'] : []),
      ...(volume.group_id === null ? [] : [`it leaves its group ${volume.group_id}`]),
    ],
    snapshots: snapshots.map((each) =>
      refused && each.state === 'to import' ? { ...each, state: 'refused', reason: 'its volume stays' } : each,
    ),
  };
}

function stateOf(there: string | undefined, why: string | null): ImportState {
  if (why !== null) return 'refused';
  return there === undefined ? 'to import' : 'imported';
}

/** Of one that Ferry has. */
function reasonUnderWay(status: string): string | null {
  return status === 'creating' ? "it is becoming Ferry's just now" : null;
}

/** Why Cinder's own record keeps it from Ferry; null when it does not. */
function reasonOfCinder(volume: CinderVolume, { byDevice, known }: Surroundings): string | null {
  const twin = byDevice.get(placeOf(volume))?.find(({ id }) => id !== volume.id);
  if (twin) return `Cinder has volume ${twin.id} on the same ${deviceName(volume)}`;
  if (known.forgotten.has(volume.id))
    return "it was Ferry's before, and was unmanaged or deleted: its id is not used again; ferry manage takes it under a new one";
  const { status, migration_status: migrating, attach_status: attached, users } = volume;
  if (!volumeId.safeParse(volume.id).success) return 'its id is no UUID';
  if (volume.nameId !== null && !volumeId.safeParse(volume.nameId).success) return 'its name_id is no UUID';
  if (!tenantId.safeParse(volume.project_id).success) return `its project ${volume.project_id} is no tenant's id`;
  if (migrating?.startsWith('target:'))
    return `it is the destination of a migration of volume ${migrating.slice('target:'.length)} that Cinder has not ended`;
  if (migrating !== null && !['success', 'error', 'none', ''].includes(migrating))
    return `Cinder is migrating it (${migrating})`;
  if (volume.encryption_key_id !== null) return 'it is encrypted, with a key that Ferry does not know of';
  if (status === 'in-use' || attached === 'attached' || users.length > 0)
    return `it is attached${users.length > 0 ? ` to ${users.join(', ')}` : ''}; detach it first`;
  return status === 'available' ? null : `its status is ${status}`;
}

/** Why its device keeps it from Ferry; null when it does not. */
function reasonOfDevice(
  volume: CinderVolume,
  name: string,
  { devices, snapshots }: { devices: FoundOn; snapshots: PlannedSnapshot[] },
): string | null {
  if ('unseen' in devices) return `its back end could not be looked at: ${devices.unseen}`;
  const device = devices.get(name);
  if (!device) return `there is no ${name}, or it is Ferry's already`;
  if (device.sizeBytes < (volume.size ?? 0) * gib)
    return `${name} has ${device.sizeBytes} bytes, less than the ${volume.size} GiB that Cinder says`;
  const [hanging, its] = [device.snapshots ?? [], new Map(snapshots.map((each) => [each.deviceName, each]))];
  for (const each of hanging) {
    const planned = its.get(each);
    if (!planned)
      return nameIdOf(each) === null
        ? `it has a snapshot that Cinder does not know: ${each}`
        : `${each} was made from it and still shares its blocks`;
    if (planned.reason !== null) return `its snapshot ${planned.id} cannot come along: ${planned.reason}`;
    const [size, wanted] = [devices.get(each)?.sizeBytes, device.sizeBytes];
    if (size !== wanted) return `its snapshot ${planned.id} has ${size} bytes, it has ${wanted}: it was extended since`;
  }
  return hanging.length > 0 ? null : device.obstacle;
}

function planSnapshot(
  snapshot: CinderSnapshot,
  { known, devices, volume }: { known: Known; devices: FoundOn; volume: CinderVolume },
): PlannedSnapshot {
  const [name, there] = [snapshotDeviceName(snapshot.id), known.snapshots.get(snapshot.id)];
  const reason = () => {
    if (!volumeId.safeParse(snapshot.id).success) return 'its id is no UUID';
    if ('unseen' in devices) return `its back end could not be looked at: ${devices.unseen}`;
    if (!devices.has(name)) return `there is no ${name}, or it is Ferry's already`;
    return snapshot.status === 'available' ? null : `its status is ${snapshot.status}`;
  };
  const [kept, why] = [tellable(snapshot), there === undefined ? reason() : reasonUnderWay(there)];
  return {
    id: snapshot.id,
    name: kept.name,
    description: kept.description,
    metadata: kept.metadata,
    userId: kept.userId,
    deviceName: name,
    state: stateOf(there, why),
    reason: why,
    notes: [
      ...kept.notes,
      ...(snapshot.project_id === volume.project_id
        ? []
        : [`it was ${snapshot.project_id}'s; it becomes its volume's`]),
    ],
  };
}

/** The texts that Ferry can keep, and which it cannot. */
function tellable(row: Pick<CinderVolume, 'display_name' | 'display_description' | 'user_id' | 'metadata'>) {
  const notes: string[] = [];
  const text = (what: string, given: string | null) => {
    const value = given?.replaceAll(/\s+/g, ' ') ?? null;
    if (value === null || label.safeParse(value).success) return value;
    notes.push(`its ${what} is left out: it holds control characters or is longer than 255`);
    return null;
  };
  const kept = Object.entries(row.metadata).filter(([key, value]) => metadata.safeParse({ [key]: value }).success);
  if (kept.length < Object.keys(row.metadata).length) notes.push('some of its metadata is left out');
  return {
    name: text('name', row.display_name),
    description: text('description', row.display_description),
    userId: text('user', row.user_id || null),
    metadata: Object.fromEntries(kept),
    notes,
  };
}

function planType(
  { name, description, is_public: isPublic, extraSpecs: specs, tenants }: CinderType,
  homes: readonly { name: string; capabilities: Capabilities }[],
  there: Capabilities | undefined,
): PlannedType {
  const kept = Object.entries(specs).filter(([key, value]) => extraSpecs.safeParse({ [key]: value }).success);
  const left = Object.keys(specs).filter((key) => !kept.some(([each]) => each === key));
  const asked = { name: name ?? '', extraSpecs: there ?? Object.fromEntries(kept) };
  const lacking = homes.flatMap((home) => {
    const missing = Object.entries(lackedBy(home, asked)).map(([key, value]) => `${key}=${value}`);
    return missing.length > 0 ? [`${home.name} lacks what it asks for (${missing.join(', ')})`] : [];
  });
  return {
    name: name ?? '',
    isThere: there !== undefined,
    description: label.safeParse(description).success ? description : null,
    extraSpecs: asked.extraSpecs,
    isPublic,
    tenants: tenants.filter((each) => tenantId.safeParse(each).success).toSorted(),
    notes: [
      ...(there || left.length === 0 ? [] : [`not known here, and left out: ${left.join(', ')}`]),
      ...lacking.map(
        (each) =>
          `${each}, so its volumes would not move to such a one: give back ends these capabilities, or make a type of that name before`,
      ),
    ],
  };
}

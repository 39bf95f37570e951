import fc from 'fast-check';
import { verifyMode, type VerifyMode } from '../../model/migration.ts';

/** The storage of every run: two nodes, four back ends. */
export const chaosNodes = [
  { name: 'server1', groups: ['a', 'b'] },
  { name: 'server2', groups: ['c', 'd'] },
] as const;
export const backEnds = chaosNodes.flatMap(({ name, groups }) => groups.map((group) => `${name}@${group}`));
/** The hypervisor of the guests. */
export const computeHost = 'hv1';
/** Another one, which some of them visit. */
export const otherHost = 'hv2';
const workers = ['control', computeHost, ...chaosNodes.map(({ name }) => name)];

const mib = 1024 ** 2;
const backEnd = fc.constantFrom(...backEnds);
/** Milliseconds. */
const aMoment = fc.integer({ min: 0, max: 4000 });

/** What is done with a volume however it is used. A migration is only begun, and the next steps race with it. */
export type SharedStep =
  | {
      do: 'migrate';
      to: string;
      /** Null: as it is without a word. */
      verify: VerifyMode | null;
      bandwidth: number | null;
      forceHostCopy: boolean;
    }
  | { do: 'cancel' | 'pause' | 'resume' | 'wait for migration' }
  | { do: 'wait'; ms: number };

/** What is done with a volume that is attached only now and then, for a read or a write. */
export type TenantStep =
  | SharedStep
  | { do: 'write'; slot: number; byte: number }
  | { do: 'read'; slot: number }
  | { do: 'extend' | 'snapshot' | 'delete snapshot' };

/** What is done with a volume that a guest writes to all the time. */
export type GuestStep = SharedStep | { do: 'detach and attach' | 'cut the power' } | HypervisorStep;

/** What is done with the guest, or its hypervisor, without a word to Ferry. */
export type HypervisorStep =
  | { do: 'suspend'; ms: number }
  | { do: 'reset' | 'save its memory' | 'write to an overlay' | 'kill libvirtd' | 'visit another hypervisor' };

export interface VolumeLife {
  user: 'tenant';
  home: string;
  steps: TenantStep[];
}

export interface GuestsLife {
  user: 'guest';
  home: string;
  steps: GuestStep[];
}

/** The life of one volume, from its creation to its deletion. */
export type Life = VolumeLife | GuestsLife;

/** What befalls the whole system; each ends, or is made good, after a while. */
export type Disturbance =
  | { what: 'a worker is killed'; worker: string }
  | { what: 'a worker is suspended'; worker: string; ms: number }
  | { what: 'an export server is killed'; which: number }
  | { what: 'Temporal crashes' | 'Postgres crashes' }
  | { what: 'connections are cut'; to: 'Temporal' | 'Postgres' | 'an export server'; which: number }
  | { what: 'a back end is full'; backEnd: string; ms: number }
  | { what: 'a back end gives I/O errors'; backEnd: string; errors: number; ms: number }
  | { what: 'a back end is slow'; backEnd: string; delayMs: number; ms: number }
  | { what: 'a file system is not mounted'; backEnd: string; ms: number }
  | { what: "a node's back ends swap their paths"; node: number; ms: number }
  | { what: 'a stranger has a device open for writing'; which: number; ms: number }
  | { what: 'a back end is evacuated'; backEnd: string; cancelled: boolean }
  | { what: 'bytes flip as a copy is written'; which: number; share: number; ms: number };

/**
 * What befalls the whole system so that something which was acknowledged is forgotten or lost. What it must not touch: the bytes of a volume of
 * which a device is left. An operator makes it good before anything else befalls the system; the lives go on meanwhile.
 */
export type Upheaval =
  | {
      what: 'the registry is restored from an older copy' | 'a standby without the last commits takes over';
      /** How much was forgotten, at least. */
      ageMs: number;
    }
  | { what: 'the disks of a back end are lost for good'; backEnd: string }
  | { what: 'a node is renamed, and back again'; node: number };

/** Places of a volume, each of one MiB, that a tenant writes to; the rest stays zero. */
export const slots = 6;
/** Where a slot begins. Bytes. */
export const slotOffset = (slot: number): number => slot * 170 * mib;
export const slotBytes = mib;

const slot = fc.integer({ min: 0, max: slots - 1 });
const write = fc.record({ do: fc.constant('write' as const), slot, byte: fc.integer({ min: 1, max: 255 }) });
const migrate = fc.record({
  do: fc.constant('migrate' as const),
  to: backEnd,
  verify: fc.constantFrom(null, ...verifyMode.options),
  bandwidth: fc.constantFrom(null, mib, 4 * mib),
  forceHostCopy: fc.boolean(),
});
const plain = (...what: ('extend' | 'snapshot' | 'delete snapshot')[]) => fc.record({ do: fc.constantFrom(...what) });
const control = fc.record({ do: fc.constantFrom('cancel' as const, 'pause', 'resume', 'wait for migration') });
const wait = fc.record({ do: fc.constant('wait' as const), ms: aMoment });
const tenantStep: fc.Arbitrary<TenantStep> = fc.oneof(
  { weight: 4, arbitrary: write },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), slot }) },
  { weight: 6, arbitrary: migrate },
  { weight: 3, arbitrary: control },
  { weight: 2, arbitrary: plain('extend', 'snapshot', 'delete snapshot') },
  { weight: 2, arbitrary: wait },
);
const guestStep: fc.Arbitrary<GuestStep> = fc.oneof(
  { weight: 6, arbitrary: migrate },
  { weight: 4, arbitrary: control },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('detach and attach' as const, 'cut the power') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('suspend' as const), ms: aMoment }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('reset' as const, 'save its memory', 'write to an overlay', 'kill libvirtd'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('visit another hypervisor' as const) }) },
  { weight: 2, arbitrary: wait },
);
const lifeOf = <U extends Life['user'], S>(user: U, step: fc.Arbitrary<S>) =>
  fc.record({ user: fc.constant(user), home: backEnd, steps: fc.array(step, { minLength: 5, maxLength: 10 }) });
/** A guest is dear: it is a whole machine, emulated. */
const life: fc.Arbitrary<Life> = fc.oneof(
  { weight: 15, arbitrary: lifeOf('tenant', tenantStep) },
  { weight: 1, arbitrary: lifeOf('guest', guestStep) },
);

const worker = fc.constantFrom(...workers);
/** Milliseconds. */
const aWhile = fc.integer({ min: 500, max: 15_000 });
const disturbance: fc.Arbitrary<Disturbance> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('a worker is killed' as const), worker }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('a worker is suspended' as const),
      worker,
      ms: fc.integer({ min: 500, max: 25_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ what: fc.constant('an export server is killed' as const), which: fc.nat(1000) }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('Temporal crashes' as const, 'Postgres crashes') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('connections are cut' as const),
      to: fc.constantFrom('Temporal' as const, 'Postgres', 'an export server', 'an export server'),
      which: fc.nat(1000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('a back end is full' as const), backEnd, ms: aMoment }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('a back end gives I/O errors' as const),
      backEnd,
      // Now and then, often, always.
      errors: fc.constantFrom(0.01, 0.2, 1),
      ms: fc.integer({ min: 100, max: 8000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('a back end is slow' as const),
      backEnd,
      delayMs: fc.constantFrom(20, 200, 1000),
      ms: fc.integer({ min: 1000, max: 8000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('a file system is not mounted' as const), backEnd, ms: aWhile }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("a node's back ends swap their paths" as const),
      node: fc.nat(chaosNodes.length - 1),
      ms: aWhile,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('a stranger has a device open for writing' as const),
      which: fc.nat(1000),
      ms: aWhile,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('a back end is evacuated' as const), backEnd, cancelled: fc.boolean() }),
  },
) as fc.Arbitrary<Disturbance>;
/** Of these few are drawn in between, so that the others stay those of their seed. */
const flips: fc.Arbitrary<Disturbance> = fc.record({
  what: fc.constant('bytes flip as a copy is written' as const),
  which: fc.nat(1000),
  // Now and then: it is copied again. Always: it goes back.
  share: fc.constantFrom(0.05, 0.5, 1),
  ms: fc.constantFrom(3000, 10_000),
});

const upheaval: fc.Arbitrary<Upheaval> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('the registry is restored from an older copy' as const),
      ageMs: fc.constantFrom(1000, 5000, 15_000, 40_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('a standby without the last commits takes over' as const),
      ageMs: fc.constantFrom(0, 1000, 4000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('the disks of a back end are lost for good' as const), backEnd }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('a node is renamed, and back again' as const),
      node: fc.nat(chaosNodes.length - 1),
    }),
  },
);

export interface Scenario {
  lives: Life[];
  disturbances: { afterMs: number; it: Disturbance }[];
  /** How many disturbances come before each. */
  upheavals: { after: number; it: Upheaval }[];
  /** One comes before each upheaval. */
  flips: Disturbance[];
}

/**
 * The same seed: the same lives, the same disturbances at the same distances, and the same upheavals between them. How they meet is up to the
 * machine.
 */
export function scenario(seed: number, runs: number): Scenario {
  const timed = fc.record({ afterMs: fc.integer({ min: 2000, max: 12_000 }), it: disturbance });
  const counted = fc.record({ after: fc.integer({ min: 0, max: 3 }), it: upheaval });
  return {
    lives: fc.sample(life, { seed, numRuns: runs }),
    disturbances: fc.sample(timed, { seed, numRuns: 1000 }),
    upheavals: fc.sample(counted, { seed, numRuns: 1000 }),
    flips: fc.sample(flips, { seed, numRuns: 1000 }),
  };
}

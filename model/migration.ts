import * as z from 'zod';
import { backEndName, volumeId } from './ids.ts';
import type { Reason } from './errors.ts';
import { keepSourceSeconds } from './kept-source.ts';
import { volumeTypeName } from './volume-type.ts';
import { label } from './text.ts';

/**
 * `both`: the source's own node reads its device a second time, the destination is read back from its device after the flush, and both
 * must equal what arrived.
 * `reread`: the destination is read back and must equal what arrived; where the way itself notices no changes, `both` is done.
 * `inline`: the digest of what arrived is recorded, the destination is not read back.
 * `none`: no digest at all.
 */
export const verifyMode = z.enum(['both', 'reread', 'inline', 'none']);
export type VerifyMode = z.infer<typeof verifyMode>;

/**
 * How a copy is verified. TLS notices bytes that change on their way; without it, and within one node too (its memory and its copier are
 * the way there), only the source itself can tell what should have arrived. So who asked for `reread`, or for nothing, gets `both` there:
 * a source is never deleted because of a comparison that did not span the whole way, unless somebody asked for no comparison at all.
 */
export function verifyModeFor(asked: VerifyMode | null, way: { tls: boolean }): VerifyMode {
  return asked === null || asked === 'reread' ? (way.tls ? 'reread' : 'both') : asked;
}

/** Whether the two sides of a running guest's mirror are compared. Nothing that could be recorded arrives at a node of Ferry's: `inline` is none. */
export function comparesMirror(asked: VerifyMode | null): boolean {
  return asked !== 'none' && asked !== 'inline';
}

/**
 * How a copy was proven, for the audit record. `both`, `reread`, `inline`, `none`: as `VerifyMode`. `cache`: all that was asked for was
 * compared, but some of it could only be read from memory: its file system lets nobody read the medium itself. `shared`: nothing was
 * copied, both devices are one file. `compared`: under a running guest, both sides of its mirror were read by their own nodes when they
 * held the same, and were equal.
 */
export const proof = z.enum(['both', 'reread', 'cache', 'inline', 'none', 'shared', 'compared']);
export type Proof = z.infer<typeof proof>;

/**
 * Who has read what was compared, for the audit record. `server`: the server of the source's export, of all that it sent. `copier`: the
 * destination's, range by range while the rest was on its way. `second read`: that side's node, when all was copied; null: nobody. `copiedAgain`: so
 * often a range was not the same at first, and was copied once more. `comparison`: the destination's node, while the guest's mirror kept both
 * sides the same; a mirror that was begun anew is one more `copiedAgain`. `unprovenBytes`: the guest wrote these all the time, so that they
 * were never seen to be equal.
 */
export const evidence = z.object({
  source: z.enum(['server', 'second read']).nullable(),
  destination: z.enum(['copier', 'second read', 'comparison']),
  copiedAgain: z.number().int().nonnegative(),
  unprovenBytes: z.number().int().nonnegative().optional(),
});
export type Evidence = z.infer<typeof evidence>;

/**
 * Who carries the bytes. `assisted`: the storage itself; `generic-detached`: copy; `generic-attached`: the hypervisor mirrors; `undo`: nobody,
 * they are there already, on the source that an earlier migration kept.
 */
export const flow = z.enum(['assisted', 'generic-detached', 'generic-attached', 'undo']);
export type Flow = z.infer<typeof flow>;

/** Where a migration is. The order is the order of a successful one; `undoing` follows any phase before the switch. */
export const phase = z.enum([
  'claiming',
  'preparing',
  'copying',
  'verifying',
  'switching',
  'cleaning-up',
  'undoing',
  'finished',
]);
export type Phase = z.infer<typeof phase>;

/** How it ended. A cancelled or failed migration leaves the volume as it was. */
export const outcome = z.enum(['success', 'error', 'cancelled']);
export type Outcome = z.infer<typeof outcome>;

/** What `migrateVolume` is started with. */
export const migrationRequest = z
  .object({
    volumeId,
    destination: backEndName,
    /** Bytes a second; null is no cap. */
    bandwidth: z.number().int().positive().nullable().default(null),
    /** Null: see `verifyModeFor`. */
    verify: verifyMode.nullable().default(null),
    forceHostCopy: z.boolean().default(false),
    /** The volume's type from the switch on; null: as it is. */
    newType: volumeTypeName.nullable().default(null),
    /** How long a node that is needed for the data may be away before the migration goes back. Seconds. */
    nodeTimeoutSeconds: z.number().int().positive().default(600),
    /** For how long the source is kept after the switch, so that the migration can be undone; null: it is deleted at once. */
    keepSourceSeconds: keepSourceSeconds.nullable().default(null),
    /** The migration to take back: the volume returns to the source that it kept, which is on `destination`. */
    undoes: z.uuid().nullable().default(null),
    /** Who asked, for the audit record. */
    requestedBy: label.default('admin'),
  })
  .refine((request) => request.undoes === null || request.keepSourceSeconds === null, {
    path: ['keepSourceSeconds'],
    error: 'an undo keeps nothing: what the volume leaves then is the same as what it returns to',
  });
export type MigrationRequest = z.infer<typeof migrationRequest>;
export type MigrationRequestInput = z.input<typeof migrationRequest>;

/** Proof of the claim: every later write to the registry carries it. */
export interface Claim {
  volumeId: string;
  migrationId: string;
  /** `<workflow id>/<run id>` */
  owner: string;
  epoch: number;
}

/** What the claim found and decided: all that the flow needs to know, from one transaction. */
export interface ClaimedMigration {
  claim: Claim;
  flow: Flow;
  sizeBytes: number;
  /** `identity`: null for a volume from before identities were known. */
  source: { backEnd: string; deviceName: string; identity: string | null; generation: number };
  destination: { backEnd: string };
  tenantId: string;
  /** What of the volume's row its devices carry, as tags. */
  labels: string[];
  /** Of an undo: the migration that is taken back, and the device on the destination that it kept. */
  undoes?: { migrationId: string; deviceName: string; identity: string | null };
}

/**
 * How far a copy is, in bytes from the start. All before `offset` is flushed on the destination. `chain` is the running
 * digest of the ranges before `offset` (hex; empty at the start or without a digest).
 */
export const checkpoint = z.object({
  offset: z.number().int().nonnegative(),
  chain: z.string(),
  /** The destination was zeroed as a whole before the first byte: a resume must not do it again. */
  zeroed: z.boolean(),
  /** While that is under way: all before is zeroed, on the medium. */
  zeroedBytes: z.number().int().nonnegative().optional(),
  /** Bytes really sent over the wire so far: the rest were holes. */
  transferred: z.number().int().nonnegative(),
  /**
   * Of a digest: from where what is before `offset` was read, the weakest of it. `direct`: past the page cache. `dropped`: through it, but
   * nothing of it was there before. `cache`: some of it may have come from memory.
   */
  medium: z.enum(['direct', 'dropped', 'cache']).optional(),
  /**
   * All before `offset` was read back from the destination's medium, and is what the source's own server has read from its. `copiedAgain`: so
   * often a range was not at first, and was copied once more.
   */
  proven: z.object({ copiedAgain: z.number().int().nonnegative() }).optional(),
  /** Of a comparison with what a guest writes to: so many bytes before `offset` were never seen to be equal, as the guest wrote them all the time. */
  unproven: z.number().int().nonnegative().optional(),
  /** All before is copied and flushed, though behind `offset` nobody has read it back yet: the next try need not copy it. */
  copied: z.number().int().nonnegative().optional(),
});
export type Checkpoint = z.infer<typeof checkpoint>;

export const copyStart: Checkpoint = { offset: 0, chain: '', zeroed: false, transferred: 0 };

/** What a copying or verifying activity says with every heartbeat. */
export interface CopyProgress {
  /** Flushed: where a lost try is taken up again. */
  checkpoint: Checkpoint;
  /** Where it is now; may be ahead of the checkpoint. */
  position: number;
  totalBytes: number;
  /** Bytes a second over the last few seconds; holes count as done. */
  bytesPerSecond: number;
  /** A guest writes as fast as its disk is mirrored: it will not end like this. */
  outpaced?: boolean | undefined;
}

/** A migration as its workflow tells it (query `migrationState`). */
export interface MigrationState {
  migrationId: string;
  volumeId: string;
  source: string | null;
  destination: string;
  flow: Flow | null;
  phase: Phase;
  paused: boolean;
  bandwidth: number | null;
  /** How its copy is verified; null while nobody has said it, and the way of the bytes is not known yet. */
  verify: VerifyMode | null;
  totalBytes: number;
  /** Last reported position; the live one is in the pending activity's heartbeat. */
  bytesDone: number;
  bytesPerSecond: number;
  /** While the destination is being zeroed, before the first byte: how far that is. */
  zeroedBytes: number | null;
  /** What it waits for at the moment, if it waits: a node that is away, an operator's resume. */
  waitingFor: string | null;
  cancelRequested: boolean;
  /** Asked by signal and refused; a refused update leaves no trace. */
  refusedOperations: number;
}

/** The audit record of a migration; outlives Temporal's retention. */
export const migrationRecord = z.object({
  id: z.uuid(),
  volumeId,
  tenantId: z.string(),
  requestedBy: z.string(),
  source: backEndName,
  destination: backEndName,
  sourceNameId: z.uuid().nullable(),
  destinationNameId: z.uuid().nullable(),
  /** Of the two devices; null when it is not known. */
  sourceIdentity: z.string().nullable(),
  destinationIdentity: z.string().nullable(),
  /** Of a migration that changes the volume's type: from what, to what. Both null for all others. */
  oldType: z.string().nullable(),
  newType: z.string().nullable(),
  flow,
  phase,
  /** When each phase was entered. */
  phases: z.array(z.object({ phase, at: z.coerce.date() })),
  totalBytes: z.number().int().nonnegative(),
  transferredBytes: z.number().int().nonnegative().nullable(),
  digest: z.string().nullable(),
  proof: proof.nullable(),
  evidence: evidence.nullable(),
  outcome: outcome.nullable(),
  error: z.custom<Reason>().nullable(),
  /** For how long the source was to be kept. */
  keepSourceSeconds: z.number().int().nullable(),
  /** Until when the source is kept; null when it is not, or not any more. */
  keptUntil: z.date().nullable(),
  /** The migration that this one took back. */
  undoes: z.uuid().nullable(),
  startedAt: z.date(),
  finishedAt: z.date().nullable(),
});
export type MigrationRecord = z.infer<typeof migrationRecord>;

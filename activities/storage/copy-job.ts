import type { Checkpoint } from '../../model/migration.ts';
import type { FerryErrorType } from '../../model/errors.ts';
import type { ExportAddress } from './exports.ts';

/** Files of the certificates for TLS between nodes (x509, both sides verified). */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** An export to pull from, and what its own node knows of it. */
export type SourceExport = ExportAddress & { readonly holes?: boolean | undefined };

/** Pull from a node's export, or from a device of the same node, onto a local device. */
export interface CopyJob {
  readonly kind: 'copy';
  /** `holes`: what the export tells of holes can be believed; all is read otherwise. */
  readonly source: SourceExport | { readonly devicePath: string };
  readonly tls: TlsFiles | null;
  readonly destination: { readonly path: string; readonly sizeBytes: number; readonly readsZero: boolean };
  readonly from: Checkpoint;
  /** Bytes a second; null is no cap. */
  readonly bandwidth: number | null;
  readonly digest: boolean;
  /**
   * Read back what is written, while the rest is on its way, and compare it with what the source's server has read: where that server and this
   * device allow it. The result's checkpoint says `proven` then.
   */
  readonly readBack?: boolean | undefined;
}

/** Read a local device from its medium and digest it, the way a copy digests what arrives. */
export interface DigestJob {
  readonly kind: 'digest';
  readonly device: { readonly path: string; readonly sizeBytes: number };
  readonly from: Checkpoint;
  readonly bandwidth: number | null;
}

/** Read a local device from its medium, and unmap where it reads as zeros. Nobody else may write to it meanwhile. */
export interface UnmapJob {
  readonly kind: 'unmap';
  readonly device: { readonly path: string; readonly sizeBytes: number };
  readonly from: Checkpoint;
  /** A file; once it is there nothing may be unmapped any more. Looked for under the device's lock. */
  readonly unless: string;
}

/**
 * Read a local device from its medium while it follows the source, and compare the two, block by block. Neither is written to. The result's
 * checkpoint says `unproven`.
 */
export interface CompareJob {
  readonly kind: 'compare';
  readonly source: SourceExport;
  readonly tls: TlsFiles | null;
  readonly device: { readonly path: string; readonly sizeBytes: number };
  readonly from: Checkpoint;
  /** Bytes a second; null is no cap. */
  readonly bandwidth: number | null;
}

export type Job = CopyJob | DigestJob | UnmapJob | CompareJob;

/** What the copier process tells its worker, one message each. `locked`: it has the destination to itself, and asks whether it may write. */
export type CopierMessage =
  | { readonly type: 'locked' }
  | { readonly type: 'progress'; readonly checkpoint: Checkpoint; readonly position: number }
  | { readonly type: 'stopped'; readonly checkpoint: Checkpoint; readonly finished: boolean }
  | {
      readonly type: 'failed';
      readonly error: {
        readonly type: FerryErrorType;
        readonly message: string;
        readonly details: Record<string, unknown>;
      };
    };

/** What a worker tells the copier process. `stop`: finish what is in flight, flush, say where, end. */
export type CopierCommand =
  | { readonly type: 'start'; readonly job: Job }
  | { readonly type: 'confirmed' }
  | { readonly type: 'stop' };

/** Runs jobs, each in a process of its own. */
export interface Copier {
  /**
   * Runs the job until it is finished or `signal` is aborted; resolves only when its process has ended, so that nothing is
   * written afterwards. Aborted: the position reached, flushed. Rejects with a `FerryError`. A job that writes to a device
   * ends any other copier of this machine that still does.
   *
   * `confirm`: asked of a copy when it has the destination's lock and has written nothing yet; a rejection ends it so. Who takes the lock
   * later, to change what the device is, ends the copy.
   *
   * `position` runs ahead of the checkpoint, for display: bytes done, flushed or not, also inside a range.
   */
  run(
    job: Job,
    options: {
      signal: AbortSignal;
      onProgress: (checkpoint: Checkpoint, position: number) => void;
      confirm?: (() => Promise<void>) | undefined;
    },
  ): Promise<{ checkpoint: Checkpoint; finished: boolean }>;
}

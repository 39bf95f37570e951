import type { Reason } from './errors.ts';

/** An export that serves an attachment. */
export interface AttachmentExport {
  backEnd: string;
  exportName: string;
}

/** What those who can know say of who has a volume. */
export interface VolumeUsers {
  /** Each who has it: `VolumeInUse`. */
  users: Reason[];
  /** Who was asked and did not tell, and why: no answer is not a no. */
  silent: Reason[];
  /** The attachments that were asked for, by their ids. */
  attachments: string[];
  /** Theirs, as the registry has them. */
  exports: AttachmentExport[];
}

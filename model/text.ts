import * as z from 'zod';

/** What people call things: any text, short, without control characters (which would also be refused by the database). */
export const label = z
  .string()
  .max(255, 'is too long (255 characters at most)')
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'holds control characters');

/** A key of a volume's metadata. */
export const metadataKey = label.min(1, 'is empty');

/** What services and people keep with a volume. */
export const metadata = z.record(metadataKey, label);

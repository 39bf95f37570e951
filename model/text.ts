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

/** The longest text of a failure that is kept. */
const longestText = 16_384;

/** What a program or a stranger has said: without what no database takes, and not without end. */
export const plainText = z
  .string()
  .transform((text) => text.toWellFormed().replaceAll('\0', '').slice(0, longestText).toWellFormed());

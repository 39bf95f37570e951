import * as z from 'zod';

/** `migration_owner` in SQL is `migrationOwner` in the model. */
function camelCase(column: string): string {
  return column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A row as the model knows it. A row that does not parse is a bug or foreign hands in the database, never the caller's fault. */
export function parseRow<T>(row: z.ZodType<T>, columns: Record<string, unknown>): T {
  const named = Object.fromEntries(Object.entries(columns).map(([name, value]) => [camelCase(name), value]));
  const parsed = row.safeParse(named);
  if (parsed.success) return parsed.data;
  throw new Error(`The registry holds a row that is not understood:\n${z.prettifyError(parsed.error)}`);
}

/** For statements whose rows nobody reads. */
export const noColumns = z.object({});

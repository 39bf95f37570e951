import { Option, type Command } from 'commander';
import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { checked } from './arguments.ts';
import { table } from './table.ts';
import { textWidth } from './text-width.ts';

/** A column of a list. */
export interface Column<Row> {
  title: string;
  text: (row: Row) => string;
  /** In a terminal that is too narrow, the columns with the highest go first; those without never. */
  spare?: number;
  /** Of volumes: commands take the beginning as well, so in a narrow terminal it is all that is shown. */
  isId?: true;
}

export interface ListOptions {
  columns?: string;
  limit?: number;
}

const limit = z.coerce.number().int().min(1).max(100_000);

/** `--limit` and `--columns`. */
export function addListOptions(command: Command, defaultLimit?: number): Command {
  const atMost = new Option('--limit <number>', 'at most so many').argParser(checked('limit', limit));
  return command
    .addOption(defaultLimit === undefined ? atMost : atMost.default(defaultLimit))
    .option('--columns <titles>', 'only these columns, in this order, e.g. id,host');
}

/**
 * A list as a table: with the columns that were asked for, else with those that fit the terminal. `width`: Infinity where the reader is no
 * terminal. `InvalidInput` for a column that there is not.
 */
export function listing<Row>(
  all: readonly Column<Row>[],
  rows: readonly Row[],
  { columns: wanted, width }: { columns?: string | undefined; width: number },
): string {
  if (wanted !== undefined) return drawn(chosen(all, wanted), rows, false);
  let kept = [...all];
  while (tooWide(drawn(kept, rows, false), width)) {
    const [spare] = kept.filter((c) => c.spare !== undefined).toSorted((a, b) => b.spare! - a.spare!);
    if (!spare) return drawn(kept, rows, true);
    kept = kept.filter((column) => column !== spare);
  }
  return drawn(kept, rows, false);
}

/** Of the terminal that reads the result; Infinity when none does. */
export function terminalWidth(stream: NodeJS.WriteStream = process.stdout): number {
  return stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY;
}

const shortId = 8;

function drawn<Row>(columns: readonly Column<Row>[], rows: readonly Row[], short: boolean): string {
  return table(
    columns.map(({ title }) => title),
    rows.map((row) => columns.map(({ text, isId }) => (isId && short ? text(row).slice(0, shortId) : text(row)))),
  );
}

function tooWide(text: string, width: number): boolean {
  return textWidth(text.slice(0, text.indexOf('\n'))) > width;
}

function chosen<Row>(all: readonly Column<Row>[], wanted: string): Column<Row>[] {
  return wanted.split(',').map((title) => {
    const found = all.find((column) => column.title.toLowerCase() === title.trim().toLowerCase());
    if (found) return found;
    const titles = all.map((column) => column.title.toLowerCase()).join(', ');
    throw new FerryError('InvalidInput', `columns: there is no column ${JSON.stringify(title)}; there are ${titles}`, {
      fields: ['columns'],
    });
  });
}

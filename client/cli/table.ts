import { padEnd, printable, textWidth } from './text-width.ts';

/** Rows with a frame and a header, as the OpenStack clients print them. Cells may hold anything. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [headers, ...rows].map((row) => row.map(printable));
  const widths = columnWidths(cells);
  const line = `+${widths.map((w) => '-'.repeat(w + 2)).join('+')}+`;
  const [header, ...body] = cells.map((row) => `| ${row.map((cell, i) => padEnd(cell, widths[i]!)).join(' | ')} |`);
  return [line, header, line, ...body, ...(body.length > 0 ? [line] : [])].join('\n');
}

/** The seed's table of a thing's properties. */
export function propertyTable(properties: Readonly<Record<string, unknown>>): string {
  return table(
    ['Property', 'Value'],
    Object.entries(properties).map(([name, value]) => [name, propertyText(value)]),
  );
}

/** Values as Cinder shows them: None, True, False, JSON for what is composed. */
export function propertyText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Rows without a frame, two blanks between columns: for other programs, and for short lists. */
export function columns(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = columnWidths(cells);
  return cells
    .map((row) =>
      row
        .map((cell, i) => padEnd(cell, widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, textWidth(cell))));
  return widths;
}

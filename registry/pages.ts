/** Lists in pages: what fits, in an order that is told, from a place in it. */

export type Direction = 'asc' | 'desc';

export interface Page<Key extends string> {
  /** The weightiest first; what is equal in all of them is ordered by id, in the direction of the first. Not given: the newest first. */
  sort?: readonly { key: Key; direction: Direction }[] | undefined;
  /** Go on after this row of the last page, which must be there. */
  after?: string | undefined;
  /** So many rows are left out then. */
  offset?: number | undefined;
  limit?: number | undefined;
}

/** By what rows may be ordered: of a row of the given name, an expression that is never null. */
export type SortKeys<Key extends string> = Readonly<Record<Key, (row: string) => string>>;

/** Texts are ordered letter by letter, whatever the database's language is. */
export const textKey = (column: string) => (row: string) => `coalesce(${row}.${column}, '') COLLATE "C"`;
export const plainKey = (column: string) => (row: string) => `${row}.${column}`;

/** Conditions on rows `l`, joined by AND, and the values that they name. */
export class Conditions {
  readonly #texts: string[] = [];
  readonly values: unknown[] = [];

  /** Adds a condition that names the value; nothing for a value that is not given. */
  add(value: unknown, condition: (parameter: string) => string): this {
    if (value !== undefined) this.#texts.push(condition(this.parameter(value)));
    return this;
  }

  parameter(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  get text(): string {
    return this.#texts.length === 0 ? 'true' : this.#texts.join(' AND ');
  }
}

/** The statement for a page of the table's rows that fulfil the conditions, whose values it adds to. */
export function pageStatement<Key extends string>(
  table: string,
  conditions: Conditions,
  keys: SortKeys<Key>,
  { sort = [], after, offset, limit }: Page<Key>,
): string {
  const order = orderOf(keys, sort);
  const ordered = order.map(({ of, direction }) => `${of('l')} ${direction}`).join(', ');
  const place =
    after === undefined
      ? ''
      : `AND EXISTS (SELECT FROM ${table} m WHERE m.id = ${conditions.parameter(after)} AND (${follows(order)}))`;
  const rest = [
    ...(limit === undefined ? [] : [`LIMIT ${conditions.parameter(limit)}`]),
    ...(offset === undefined ? [] : [`OFFSET ${conditions.parameter(offset)}`]),
  ].join(' ');
  return `SELECT l.* FROM ${table} l WHERE ${conditions.text} ${place} ORDER BY ${ordered} ${rest}`;
}

interface Ordered {
  of: (row: string) => string;
  direction: Direction;
}

function orderOf<Key extends string>(
  keys: SortKeys<Key>,
  sort: readonly { key: Key; direction: Direction }[],
): Ordered[] {
  const chosen = sort.map(({ key, direction }) => ({ of: keys[key], direction }));
  if (chosen.length === 0) chosen.push({ of: plainKey('created_at'), direction: 'desc' });
  return [...chosen, { of: plainKey('id'), direction: chosen[0]!.direction }];
}

/** Whether row `l` comes after row `m`: it is further in a key, and the same in all that weigh more. */
function follows(order: readonly Ordered[]): string {
  return order
    .map(({ of, direction }, at) => {
      const same = order.slice(0, at).map((each) => `${each.of('l')} = ${each.of('m')}`);
      return [...same, `${of('l')} ${direction === 'asc' ? '>' : '<'} ${of('m')}`].join(' AND ');
    })
    .map((each) => `(${each})`)
    .join(' OR ');
}

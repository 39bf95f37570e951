import { badRequest, notFound } from './fault.ts';

/** Which part of a list is wanted, in what order. */
export interface ListQuery {
  /** How many at most. */
  limit: number;
  offset: number;
  /** The id of the last one that the caller has. */
  marker: string | null;
  sort: readonly { key: string; descending: boolean }[];
  withCount: boolean;
  /** What is left: conditions. */
  filters: ReadonlyMap<string, string>;
}

/** Cinder's `osapi_max_limit`. */
const mostAtOnce = 1000;

const paging = new Set(['limit', 'offset', 'marker', 'sort', 'sort_key', 'sort_dir', 'with_count', 'all_tenants']);

/** Reads the query of a list, or says in Cinder's words what is wrong with it. */
export function listQuery(query: URLSearchParams): ListQuery {
  return {
    limit: Math.min(wholeNumber(query, 'limit') ?? mostAtOnce, mostAtOnce),
    offset: wholeNumber(query, 'offset') ?? 0,
    marker: query.get('marker'),
    sort: sortOf(query),
    withCount: isTrue(query.get('with_count')),
    filters: new Map([...query].filter(([key]) => !paging.has(key))),
  };
}

export function isTrue(value: string | null): boolean {
  return value !== null && /^(1|t|true|on|y|yes)$/i.test(value);
}

function wholeNumber(query: URLSearchParams, name: string): number | null {
  const given = query.get(name);
  if (given === null) return null;
  if (!/^-?\d{1,15}$/.test(given)) throw badRequest(`${name} param must be an integer`);
  if (given.startsWith('-')) throw badRequest(`${name} param must be positive`);
  return Number(given);
}

function sortOf(query: URLSearchParams): ListQuery['sort'] {
  const sort = query.get('sort');
  const keys = query.getAll('sort_key');
  const directions = query.getAll('sort_dir');
  if (sort !== null) {
    if (keys.length + directions.length > 0)
      throw badRequest(
        "The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter.",
      );
    return sort.split(',').map((part) => {
      const [key, direction = 'desc'] = part.trim().split(':', 2);
      return { key: key!.trim(), descending: descends(direction.trim()) };
    });
  }
  const given = keys.length > 0 ? keys : directions.length > 0 ? ['created_at'] : [];
  return given.map((key, n) => ({ key, descending: descends(directions[n] ?? directions.at(-1) ?? 'desc') }));
}

function descends(direction: string): boolean {
  if (direction === 'asc') return false;
  if (direction === 'desc') return true;
  throw badRequest(`Invalid sort direction: ${direction}`);
}

/** The page of a list that is all there, in its order. An unknown marker: 404. */
export function page<T>(all: readonly T[], { limit, offset, marker }: ListQuery, idOf: (each: T) => string): T[] {
  const at = marker === null ? -1 : all.findIndex((each) => idOf(each) === marker);
  if (marker !== null && at === -1) throw notFound(`marker [${marker}] not found`);
  return all.slice(at + 1 + offset, at + 1 + offset + limit);
}

/** Where the next page is; none after a page that is not full. */
export function nextLinks(
  name: string,
  {
    href,
    query,
    limit,
    shown,
  }: { href: string; query: URLSearchParams; limit: number; shown: readonly { id: string }[] },
): Record<string, unknown> {
  const last = shown.at(-1);
  if (!query.has('limit') && shown.length < mostAtOnce) return {};
  if (last === undefined || shown.length < limit) return {};
  const next = new URLSearchParams(query);
  next.set('marker', last.id);
  next.delete('offset');
  return { [`${name}_links`]: [{ rel: 'next', href: `${href}?${next.toString()}` }] };
}

/** From here on an unknown filter is refused; it was ignored before. Minor number. */
export const filtersRefused = 31;

/** An object of texts, as JSON or as Python prints it; null when it is neither. */
export function dictionaryOf(given: string): Record<string, string> | null {
  const parsed =
    parsedAs(given) ?? parsedAs(given.replace(/u?'((?:[^'\\]|\\.)*)'/g, (_, inner: string) => JSON.stringify(inner)));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
  return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, String(value)]));
}

function parsedAs(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}

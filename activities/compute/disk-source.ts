import type { ExportAddress } from '../storage/exports.ts';

/** Where a guest's disk lives: an export on a storage node, or a device or file of the hypervisor's own node. */
export type DiskSource =
  | { readonly kind: 'nbd'; readonly address: ExportAddress }
  | { readonly kind: 'block'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string };

/** A device by its name alone, which no other ever has: enough to know it again, wherever it is served from. */
export interface NamedDevice {
  readonly kind: 'named';
  readonly name: string;
}

/** A disk's place as libvirt or QEMU names it, as far as it tells one volume from another. */
export type Place =
  | { readonly kind: 'nbd'; readonly exportName: string }
  | { readonly kind: 'local'; readonly path: string }
  | NamedDevice;

/** An export's name is one place's alone; its address may change when a node comes back, so it is no part of the place. */
export function placeOf(source: DiskSource | NamedDevice): Place {
  if (source.kind === 'named') return source;
  return source.kind === 'nbd'
    ? { kind: 'nbd', exportName: source.address.exportName }
    : { kind: 'local', path: source.path };
}

export function samePlace(a: Place | null, b: Place | null): boolean {
  if (!a || !b) return false;
  if (a.kind === 'named' || b.kind === 'named') return nameOf(a) === nameOf(b);
  return a.kind === 'nbd' ? b.kind === 'nbd' && a.exportName === b.exportName : b.kind === 'local' && a.path === b.path;
}

/** A device's name, or its export's. */
export function nameOf(place: Place): string {
  if (place.kind === 'named') return place.name;
  return place.kind === 'nbd' ? place.exportName : place.path.slice(place.path.lastIndexOf('/') + 1);
}

/** For people. */
export function describePlace(place: Place | null): string {
  if (!place) return 'nothing';
  if (place.kind === 'named') return place.name;
  return place.kind === 'nbd' ? `the export ${place.exportName}` : place.path;
}

/** The place that QEMU means by a node's file name: an NBD URI, a path, or a `json:` description with layers. */
export function placeOfQemuFile(file: string): Place | null {
  if (file.startsWith('json:')) return placeOfLayers(parsed(file.slice('json:'.length)));
  if (/^nbd(\+unix)?:/.test(file)) {
    const name = URL.canParse(file) ? new URL(file).pathname.replace(/^\/+/, '') : '';
    return { kind: 'nbd', exportName: decodeURIComponent(name) };
  }
  return file.startsWith('/') ? { kind: 'local', path: file } : null;
}

function placeOfLayers(layer: unknown): Place | null {
  if (typeof layer !== 'object' || layer === null) return null;
  const { driver, export: exportName, filename, file } = layer as Record<string, unknown>;
  if (driver === 'nbd') return { kind: 'nbd', exportName: typeof exportName === 'string' ? exportName : '' };
  if (typeof filename === 'string') return placeOfQemuFile(filename);
  return placeOfLayers(file);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

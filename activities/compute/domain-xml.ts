import { XMLParser } from 'fast-xml-parser';
import type { Address } from './address.ts';
import type { Place } from './disk-source.ts';

/** A disk of a domain, as libvirt's XML tells it. */
export interface DomainDisk {
  /** As the guest knows it: `vda`. */
  readonly device: string;
  readonly serial: string | null;
  /** Names the disk in QEMU; null in a definition. */
  readonly alias: string | null;
  readonly place: Place | null;
  /** `raw` of all that Ferry attaches; an overlay has another. */
  readonly format: string | null;
  /** Of an export: where it is served. */
  readonly address: Address | null;
  /** What lies below it, the nearest first, as far as libvirt tells: an overlay's, when it runs. */
  readonly backing: readonly Place[];
  readonly readOnly: boolean;
  readonly shareable: boolean;
  readonly transient: boolean;
  readonly encrypted: boolean;
  /** The copy under way, if libvirt knows of one. `job` is empty when libvirt lost track of it. */
  readonly mirror: {
    readonly job: string;
    readonly ready: 'yes' | 'abort' | 'pivot' | 'no';
    readonly place: Place | null;
    readonly node: string | null;
  } | null;
}

/** A domain, as libvirt's XML tells it. */
export interface Domain {
  readonly name: string;
  readonly uuid: string;
  /** There is a QEMU for it, as far as libvirt knows. */
  readonly active: boolean;
  readonly disks: readonly DomainDisk[];
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === 'disk',
});

// What the parser gives: elements are objects (or text), attributes start with @. Absent ones are undefined.
type Element = { readonly [name: string]: Element | undefined } & { readonly disk?: readonly Element[] };

/** Reads what `virsh dumpxml` prints. */
export function parseDomain(xml: string): Domain {
  const domain = (parser.parse(xml) as Element)['domain'];
  const name = text(domain?.['name']);
  const uuid = text(domain?.['uuid']);
  if (!domain || name === null || uuid === null) throw new TypeError(`not a domain's XML: ${xml.slice(0, 200)}`);
  const disks = domain['devices']?.disk ?? [];
  return { name, uuid, active: domain['@id'] !== undefined, disks: disks.map(diskOf) };
}

function diskOf(disk: Element): DomainDisk {
  const mirror = disk['mirror'];
  const mirrorNode = attribute(mirror?.['source'], 'index');
  return {
    device: attribute(disk['target'], 'dev') ?? '',
    serial: text(disk['serial']),
    alias: attribute(disk['alias'], 'name'),
    place: placeOfElement(disk['source']),
    format: attribute(disk['driver'], 'type'),
    address: addressOf(disk['source']),
    backing: backingOf(disk['backingStore']),
    readOnly: disk['readonly'] !== undefined,
    shareable: disk['shareable'] !== undefined,
    transient: disk['transient'] !== undefined,
    encrypted: disk['encryption'] !== undefined || disk['source']?.['encryption'] !== undefined,
    mirror:
      mirror === undefined
        ? null
        : {
            job: attribute(mirror, 'job') ?? '',
            ready: readiness(attribute(mirror, 'ready')),
            place: placeOfElement(mirror['source']),
            node: mirrorNode === null ? null : `libvirt-${mirrorNode}-storage`,
          },
  };
}

function readiness(word: string | null): 'yes' | 'abort' | 'pivot' | 'no' {
  return word === 'yes' || word === 'abort' || word === 'pivot' ? word : 'no';
}

function placeOfElement(source: Element | undefined): Place | null {
  const path = attribute(source, 'dev') ?? attribute(source, 'file');
  if (path !== null) return { kind: 'local', path };
  if (attribute(source, 'protocol') !== 'nbd') return null;
  return { kind: 'nbd', exportName: attribute(source, 'name') ?? '' };
}

function addressOf(source: Element | undefined): DomainDisk['address'] {
  const [host, port] = [attribute(source?.['host'], 'name'), attribute(source?.['host'], 'port')];
  return host === null || port === null ? null : { host, port: Number(port) };
}

function backingOf(store: Element | undefined): Place[] {
  if (typeof store !== 'object') return [];
  const place = placeOfElement(store['source']);
  return [...(place ? [place] : []), ...backingOf(store['backingStore'])];
}

function attribute(element: Element | undefined, name: string): string | null {
  const value: unknown = element?.[`@${name}`];
  return typeof value === 'string' ? value : null;
}

function text(element: Element | undefined): string | null {
  const value: unknown = typeof element === 'object' ? element['#text'] : element;
  return typeof value === 'string' ? value : null;
}

import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import type { DiskSource } from './disk-source.ts';

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  suppressEmptyNode: true,
  suppressBooleanAttributes: false,
});

/** A disk as `virsh attach-device` takes it. Its serial is the volume's id: by it the disk is found again. */
export function diskXml(disk: { source: DiskSource; device: string; volumeId: string; readOnly: boolean }): string {
  return builder.build({
    disk: {
      '@type': typeOf(disk.source),
      '@device': 'disk',
      // A guest whose storage goes away stops, and repeats its write when it is resumed: it never sees an error.
      driver: { ...rawDriver, '@error_policy': 'stop', '@rerror_policy': 'stop' },
      source: sourceElement(disk.source),
      target: { '@dev': disk.device, '@bus': 'virtio' },
      serial: disk.volumeId,
      ...(disk.readOnly ? { readonly: '' } : {}),
    },
  });
}

/** A mirror's destination as `virsh blockcopy` takes it. */
export function destinationXml(source: DiskSource): string {
  return builder.build({
    disk: { '@type': typeOf(source), '@device': 'disk', driver: rawDriver, source: sourceElement(source) },
  });
}

const rawDriver = { '@name': 'qemu', '@type': 'raw', '@cache': 'none', '@discard': 'unmap' };

function typeOf(source: DiskSource): string {
  return source.kind === 'nbd' ? 'network' : source.kind;
}

function sourceElement(source: DiskSource): Record<string, unknown> {
  if (source.kind === 'block') return { '@dev': source.path };
  if (source.kind === 'file') return { '@file': source.path };
  const { host, port, exportName, tls } = source.address;
  // Always said: libvirt's own default depends on the hypervisor's settings.
  return {
    '@protocol': 'nbd',
    '@name': exportName,
    '@tls': tls ? 'yes' : 'no',
    host: { '@name': host, '@port': port },
  };
}

// Order, and elements that we know nothing of, stay as they are.
const faithful = { ignoreAttributes: false, attributeNamePrefix: '', preserveOrder: true } as const;
const faithfulParser = new XMLParser({ ...faithful, parseTagValue: false, parseAttributeValue: false });
const faithfulBuilder = new XMLBuilder({ ...faithful, suppressEmptyNode: true, suppressBooleanAttributes: false });

type Node = { readonly [name: string]: readonly Node[] } & { readonly ':@'?: Readonly<Record<string, string>> };

/**
 * The disk of a domain's definition with another source and all else as it is, for `virsh update-device`. Null when the
 * definition has no disk with that serial.
 */
export function diskWithSource(definition: string, volumeId: string, source: DiskSource): string | null {
  const domain = child(faithfulParser.parse(definition) as readonly Node[], 'domain');
  const disks = child(domain, 'devices').filter((node) => node['disk']);
  const disk = disks.find((node) => child(child(node['disk']!, 'serial'), '#text') === (volumeId as unknown));
  if (!disk) return null;
  const [plain] = faithfulParser.parse(builder.build({ source: sourceElement(source) })) as [Node];
  const replaced = {
    disk: disk['disk']!.filter((node) => !node['mirror'] && !node['backingStore']).map((node) =>
      node['source'] ? plain : node,
    ),
    ':@': { ...disk[':@'], type: typeOf(source) },
  };
  return faithfulBuilder.build([replaced]);
}

function child(nodes: readonly Node[], name: string): readonly Node[] {
  return nodes.find((node) => node[name] !== undefined)?.[name] ?? [];
}

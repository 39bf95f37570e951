import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type DiskSource, placeOfQemuFile } from '../../../activities/compute/disk-source.ts';
import { destinationXml, diskWithSource, diskXml } from '../../../activities/compute/disk-xml.ts';
import { parseDomain } from '../../../activities/compute/domain-xml.ts';

const recorded = (name: string) => readFile(join(import.meta.dirname, 'recorded', name), 'utf8');
const volumeId = '3f0b8dcd-2f2e-4d5c-9f6a-0d6f0c8a1b11';
const destination: DiskSource = {
  kind: 'nbd',
  address: { host: '10.0.0.2', port: 10809, exportName: 'volume-dst', tls: true },
};

describe('what libvirt tells of a domain', () => {
  it('is read while a mirror runs', async () => {
    const domain = parseDomain(await recorded('mirroring.xml'));
    assert.partialDeepStrictEqual(domain, { name: 'g1', uuid: '96d2bf52-6a2d-4359-bd40-a7cc5fcb8e63', active: true });
    assert.deepEqual(domain.disks, [
      {
        device: 'vda',
        serial: volumeId,
        alias: 'virtio-disk0',
        place: { kind: 'nbd', exportName: 'volume-src' },
        format: 'raw',
        address: { host: '127.0.0.1', port: 21010 },
        backing: [],
        readOnly: false,
        shareable: false,
        transient: false,
        encrypted: false,
        mirror: {
          job: 'copy',
          ready: 'no',
          place: { kind: 'nbd', exportName: 'volume-dst' },
          node: 'libvirt-2-storage',
        },
      },
    ]);
  });

  it('tells what lies below an overlay', () => {
    const below = `<backingStore type='network'><source protocol='nbd' name='volume-src'><host name='h' port='1'/></source>
      <backingStore type='block'><source dev='/dev/vg/base'/><backingStore/></backingStore></backingStore>`;
    const disk = `<disk type='file'><source file='/overlay'/><target dev='vda'/>${below}</disk>`;
    const domain = parseDomain(`<domain id='1'><name>a</name><uuid>u</uuid><devices>${disk}</devices></domain>`);
    assert.deepEqual(domain.disks[0]?.backing, [
      { kind: 'nbd', exportName: 'volume-src' },
      { kind: 'local', path: '/dev/vg/base' },
    ]);
  });

  it('is read from a definition, which has no running guest behind it', async () => {
    const domain = parseDomain(await recorded('saved.xml'));
    assert.equal(domain.active, false);
    assert.partialDeepStrictEqual(domain.disks, [{ serial: volumeId, alias: null, mirror: null }]);
  });

  it('shows what forbids a mirror', () => {
    const xml = `<domain><name>a</name><uuid>b</uuid><devices><disk type="block"><source dev="/dev/x/y"><encryption format="luks"/></source>
      <target dev="vdb"/><readonly/><shareable/><transient/></disk></devices></domain>`;
    assert.partialDeepStrictEqual(parseDomain(xml).disks, [
      {
        device: 'vdb',
        place: { kind: 'local', path: '/dev/x/y' },
        readOnly: true,
        shareable: true,
        transient: true,
        encrypted: true,
      },
    ]);
  });

  it('is refused when it is no domain', () => {
    assert.throws(() => parseDomain('<pool/>'), TypeError);
  });
});

describe('a disk as libvirt wants it', () => {
  it('names its volume and stops the guest rather than let it see an error', () => {
    const xml = diskXml({ source: destination, device: 'vdb', volumeId, readOnly: false });
    const [disk] = parseDomain(`<domain><name>a</name><uuid>b</uuid><devices>${xml}</devices></domain>`).disks;
    assert.partialDeepStrictEqual(disk, {
      device: 'vdb',
      serial: volumeId,
      place: { kind: 'nbd', exportName: 'volume-dst' },
      readOnly: false,
    });
    assert.match(xml, /error_policy="stop" rerror_policy="stop"/);
    assert.match(xml, /tls="yes"/);
  });

  it('may be a device or a file of the node', () => {
    assert.match(
      destinationXml({ kind: 'block', path: '/dev/vg/volume-1' }),
      /^<disk type="block".*<source dev="\/dev\/vg\/volume-1"\/>/,
    );
    assert.match(
      destinationXml({ kind: 'file', path: '/a&b/volume-1' }),
      /^<disk type="file".*<source file="\/a&amp;b\/volume-1"\/>/,
    );
  });

  it('keeps everything but its source when that changes', async () => {
    const changed = diskWithSource(await recorded('saved.xml'), volumeId, destination) ?? '';
    assert.match(changed, /^<disk type="network" device="disk"><driver name="qemu" type="raw"/);
    assert.match(
      changed,
      /<source protocol="nbd" name="volume-dst" tls="yes"><host name="10.0.0.2" port="10809"\/><\/source>/,
    );
    assert.match(changed, /<address type="pci" domain="0x0000" bus="0x01"/);
    assert.doesNotMatch(changed, /volume-src|21010/);
    assert.equal(diskWithSource(await recorded('saved.xml'), 'another', destination), null);
  });
});

describe('the file that QEMU has open', () => {
  for (const [file, place] of [
    ['nbd://127.0.0.1:10809/volume-1', { kind: 'nbd', exportName: 'volume-1' }],
    ['nbd+unix:///volume-1?socket=/run/a', { kind: 'nbd', exportName: 'volume-1' }],
    [
      'json:{"driver": "raw", "size": 8, "file": {"driver": "nbd", "server.host": "a", "export": "volume-1"}}',
      { kind: 'nbd', exportName: 'volume-1' },
    ],
    [
      'json:{"driver": "raw", "file": {"driver": "host_device", "filename": "/dev/vg/volume-1"}}',
      { kind: 'local', path: '/dev/vg/volume-1' },
    ],
    ['/dev/vg/volume-1', { kind: 'local', path: '/dev/vg/volume-1' }],
    ['json:{', null],
    ['null-co://', null],
  ] as const) {
    it(`is understood: ${file}`, () => assert.deepEqual(placeOfQemuFile(file), place));
  }
});

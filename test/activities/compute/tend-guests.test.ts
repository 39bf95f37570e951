import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Place } from '../../../activities/compute/disk-source.ts';
import type { DomainDisk } from '../../../activities/compute/domain-xml.ts';
import { type DiskSeen, findingsOf } from '../../../activities/compute/tend-guests.ts';
import type { GuestDisk } from '../../../registry/guest-disks.ts';

const nbd = (exportName: string): Place => ({ kind: 'nbd', exportName });
const disk: GuestDisk = {
  attachmentId: '3e0a3c34-0000-4000-8000-000000000001',
  volumeId: '3e0a3c34-0000-4000-8000-000000000002',
  instanceId: 'vm-1',
  mode: 'rw',
  left: ['volume-before', 'volume-kept'],
  busy: false,
  connection: {
    protocol: 'nbd',
    host: '10.0.0.2',
    port: 10810,
    exportName: 'volume-here',
    tls: false,
    backEnd: 'server2@lvmstorage-2',
    device: 'volume-here',
  },
};
const at = (place: Place, change: Partial<DomainDisk> = {}): DomainDisk => ({
  device: 'vdb',
  serial: disk.volumeId,
  alias: null,
  place,
  format: 'raw',
  address: place.kind === 'nbd' ? { host: '10.0.0.2', port: 10810 } : null,
  backing: [],
  readOnly: false,
  shareable: false,
  transient: false,
  encrypted: false,
  mirror: null,
  ...change,
});
const here = at(nbd('volume-here'));
const before = at(nbd('volume-before'));
const overlay = at(
  { kind: 'local', path: '/images/nightly.qcow2' },
  { format: 'qcow2', backing: [nbd('volume-here')] },
);
const fits: DiskSeen = { live: here, saved: here, active: true, persistent: true };
const kinds = (seen: Partial<DiskSeen>) => findingsOf(disk, { ...fits, ...seen }).map(({ kind }) => kind);

describe('an attached volume that nobody works on', () => {
  it('is left alone when all fits, be the guest on or off', () => {
    assert.deepEqual(kinds({}), []);
    assert.deepEqual(kinds({ active: false, live: null }), []);
  });

  it('whose definition names an older place gets one that names the volume, be the guest on or off', () => {
    assert.deepEqual(kinds({ saved: before }), ['save-source']);
    assert.deepEqual(kinds({ saved: before, active: false, live: null }), ['save-source']);
    assert.deepEqual(kinds({ saved: at({ kind: 'local', path: '/dev/vg/volume-kept' }) }), ['save-source']);
    assert.deepEqual(kinds({ saved: at(nbd(`attachment-${disk.attachmentId}`)) }), ['save-source']);
    assert.deepEqual(kinds({ saved: null }), ['save-source']);
  });

  it('keeps a definition whose place the registry does not know: the registry may be what is behind', () => {
    const newer = at(nbd('volume-newer'));
    assert.deepEqual(kinds({ saved: newer, active: false, live: null }), ['tell']);
    assert.deepEqual(kinds({ saved: newer, live: newer }), ['tell', 'tell']);
    assert.deepEqual(kinds({ saved: newer, live: null }), ['tell']);
  });

  it('whose definition names an older address of the same export, too', () => {
    const moved = at(nbd('volume-here'), { address: { host: '10.0.0.2', port: 10809 } });
    assert.deepEqual(kinds({ saved: moved }), ['save-source']);
    assert.deepEqual(kinds({ saved: moved, live: moved }), ['redirect', 'save-source']);
  });

  it('is never put in the place of an overlay, or of what is not a device of Ferry', () => {
    assert.deepEqual(kinds({ saved: overlay, live: overlay }), []);
    assert.deepEqual(kinds({ saved: overlay, active: false, live: null }), []);
    assert.deepEqual(kinds({ saved: at({ kind: 'local', path: '/srv/other.img' }) }), []);
  });

  it('is told of when its guest writes to a device that is not the volume; nothing is changed under it', () => {
    assert.deepEqual(kinds({ live: before, saved: before }), ['tell']);
  });

  it('is given back to a guest that let go of it, and told of when nothing is left of it', () => {
    assert.deepEqual(kinds({ live: null }), ['give-back']);
    assert.deepEqual(kinds({ live: null, saved: null }), ['tell']);
  });

  it('is mirrored no more when no migration owns the mirror; what others copy goes on', () => {
    const mirror = (place: Place, job = 'copy') => ({ job, ready: 'no' as const, place, node: 'libvirt-2-storage' });
    const mirrored = (place: Place, job?: string) => kinds({ live: { ...here, mirror: mirror(place, job) } });
    assert.deepEqual(mirrored(nbd('volume-elsewhere')), ['end-mirror']);
    assert.deepEqual(mirrored({ kind: 'local', path: '/dev/vg/volume-elsewhere' }), ['end-mirror']);
    assert.deepEqual(mirrored({ kind: 'local', path: '/images/copy.img' }), []);
    assert.deepEqual(mirrored(nbd('volume-elsewhere'), 'active-commit'), []);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Place } from '../../../activities/compute/disk-source.ts';
import type { DomainDisk } from '../../../activities/compute/domain-xml.ts';
import type { InspectInput } from '../../../activities/compute/inspect-disk.ts';
import { readDomainJob } from '../../../activities/compute/domain-job.ts';
import { mirrorRefusals, readDaemonVersion } from '../../../activities/compute/inspect-disk.ts';
import type { Observations } from '../../../activities/compute/observe-disk.ts';
import type { QemuJob } from '../../../activities/compute/qmp.ts';
import { verdict, type Verdict } from '../../../activities/compute/verdict.ts';

const source: Place = { kind: 'nbd', exportName: 'volume-source' };
const destination: Place = { kind: 'nbd', exportName: 'volume-destination' };
const elsewhere: Place = { kind: 'local', path: '/dev/other' };

const diskOn = (place: Place | null, mirror: DomainDisk['mirror'] = null): DomainDisk => ({
  device: 'vda',
  serial: 'a',
  alias: 'virtio-disk0',
  place,
  format: 'raw',
  address: null,
  backing: [],
  readOnly: false,
  shareable: false,
  transient: false,
  encrypted: false,
  mirror,
});
const mirrorTo = (place: Place, ready: 'yes' | 'abort' | 'pivot' | 'no' = 'no', job = 'copy') => ({
  job,
  ready,
  place,
  node: 'libvirt-2-storage',
});
const job: QemuJob = {
  id: 'copy-vda-x',
  status: 'running',
  ready: false,
  paused: false,
  offset: 10,
  length: 100,
  speed: 0,
};
const readyJob: QemuJob = { ...job, status: 'ready', ready: true, offset: 100 };
const on = (place: Place | null, theJob: QemuJob | null = null) => ({ place, sizeBytes: 100, job: theJob });

const running: Observations = {
  libvirt: 'answers',
  domain: { name: 'guest', uuid: 'u', active: true },
  live: diskOn(source),
  saved: diskOn(source),
  persistent: true,
  qemu: on(source),
  strayQemu: null,
  trouble: null,
};
const off: Observations = { ...running, domain: { name: 'guest', uuid: 'u', active: false }, live: null, qemu: null };
const none: Observations = { ...off, domain: null, saved: null, persistent: false };

const table: readonly (readonly [string, Observations, Verdict['kind']])[] = [
  ['the guest is on the source and nothing runs', running, 'not-started'],
  ['a copy runs', { ...running, live: diskOn(source, mirrorTo(destination)), qemu: on(source, job) }, 'copying'],
  [
    'QEMU is ready, libvirt has not heard it',
    { ...running, live: diskOn(source, mirrorTo(destination)), qemu: on(source, readyJob) },
    'copying',
  ],
  [
    'both are ready',
    { ...running, live: diskOn(source, mirrorTo(destination, 'yes')), qemu: on(source, readyJob) },
    'ready',
  ],
  [
    'libvirt works a pivot off',
    { ...running, live: diskOn(source, mirrorTo(destination, 'pivot')), qemu: on(source, readyJob) },
    'ending',
  ],
  [
    'libvirt works an abort off',
    { ...running, live: diskOn(source, mirrorTo(destination, 'abort')), qemu: on(source, job) },
    'ending',
  ],
  [
    'QEMU works the end off',
    {
      ...running,
      live: diskOn(source, mirrorTo(destination, 'yes')),
      qemu: on(source, { ...job, status: 'concluded' }),
    },
    'ending',
  ],
  [
    'QEMU has pivoted, libvirt has not heard it',
    { ...running, live: diskOn(source, mirrorTo(destination, 'pivot')), qemu: on(destination) },
    'ending',
  ],
  [
    'the guest and its definition are on the destination',
    { ...running, live: diskOn(destination), saved: diskOn(destination), qemu: on(destination) },
    'done',
  ],
  [
    'only the guest is on the destination',
    { ...running, live: diskOn(destination), qemu: on(destination) },
    'done-but-saved-xml-is-old',
  ],
  [
    'the definition lacks the disk',
    { ...running, live: diskOn(destination), saved: null, qemu: on(destination) },
    'done-but-saved-xml-is-old',
  ],
  ['the guest is off', off, 'off-on-source'],
  [
    'the guest is off, its definition names the destination',
    { ...off, saved: diskOn(destination) },
    'off-on-destination',
  ],
  ['the guest is off, its definition names neither', { ...off, saved: diskOn(elsewhere) }, 'park'],
  ['the guest is off without the disk', { ...off, saved: null }, 'no-disk'],
  ['the guest runs without the disk', { ...running, live: null, qemu: null }, 'no-disk'],
  ['libvirt has no such guest', none, 'no-domain'],
  ['libvirt does not answer', { ...none, libvirt: 'down', trouble: 'no socket' }, 'libvirtd-down'],
  ['another call holds the guest', { ...none, libvirt: 'hangs', trouble: 'lock' }, 'unknown'],
  ['QEMU does not answer', { ...running, qemu: null, trouble: 'lock' }, 'unknown'],
  ['QEMU runs a guest that libvirt calls off', { ...off, strayQemu: 42 }, 'park'],
  ['QEMU runs a guest that libvirt does not know', { ...none, strayQemu: 42 }, 'park'],
  ['QEMU and libvirt disagree', { ...running, qemu: on(destination) }, 'park'],
  [
    'the guest is on an overlay of the source',
    { ...running, live: { ...diskOn(elsewhere), backing: [source] }, qemu: on(elsewhere) },
    'foreign-job',
  ],
  [
    'an overlay of the source is brought down',
    { ...running, live: { ...diskOn(elsewhere, mirrorTo(source)), backing: [source] }, qemu: on(elsewhere, job) },
    'foreign-job',
  ],
  [
    'the guest is on an overlay of something else',
    { ...running, live: { ...diskOn(elsewhere), backing: [destination] }, qemu: on(elsewhere) },
    'park',
  ],
  ['the guest is on neither', { ...running, live: diskOn(elsewhere), qemu: on(elsewhere) }, 'park'],
  [
    'a copy to somewhere else runs',
    { ...running, live: diskOn(source, mirrorTo(elsewhere)), qemu: on(source, job) },
    'foreign-job',
  ],
  [
    'a commit of an overlay runs, which libvirt calls a mirror',
    { ...running, live: diskOn(source, mirrorTo(elsewhere, 'no', 'active-commit')), qemu: on(source) },
    'foreign-job',
  ],
  [
    'a backup runs',
    { ...running, qemu: { ...on(source), others: ['backup-vda-libvirt-3-format (backup)'] } },
    'foreign-job',
  ],
  [
    'a copy to somewhere else has turned the guest',
    { ...running, live: diskOn(elsewhere, mirrorTo(elsewhere)), qemu: on(elsewhere, job) },
    'park',
  ],
  ['a job runs that libvirt does not know', { ...running, qemu: on(source, job) }, 'park'],
];

describe('where a move stands', () => {
  for (const [what, seen, kind] of table) {
    it(`is "${kind}" when ${what}`, () => assert.equal(verdict(seen, source, destination).kind, kind));
  }
});

describe('after a pivot that nobody heard the end of', () => {
  const stands = (seen: Observations, sameQemu: boolean) => verdict(seen, source, destination, { sameQemu });

  it('the QEMU that was asked tells that it never turned', () => {
    assert.equal(stands(running, true).kind, 'not-started');
    const back = { ...running, live: diskOn(source, mirrorTo(destination, 'yes')), qemu: on(source, readyJob) };
    assert.equal(stands(back, true).kind, 'ready');
  });

  it('another one on the source proves nothing, whatever it does', () => {
    const copying = { ...running, live: diskOn(source, mirrorTo(destination)), qemu: on(source, job) };
    const foreign = { ...running, live: diskOn(source, mirrorTo(elsewhere)), qemu: on(source, job) };
    for (const seen of [running, copying, foreign]) {
      const found = stands(seen, false);
      assert.deepEqual([found.kind, 'writesTo' in found && found.writesTo], ['park', 'source']);
    }
    for (const seen of [off, none, { ...off, saved: null }, { ...running, live: null, qemu: null }])
      assert.deepEqual([stands(seen, false).kind, 'writesTo' in stands(seen, false)], ['park', false]);
  });

  it('a guest that is on the destination was turned, whoever runs it', () => {
    for (const [, seen, kind] of table)
      if (/^done|destination$|down$|^unknown$/.test(kind)) assert.equal(stands(seen, false).kind, kind);
  });
});

describe('a disk that cannot be mirrored', () => {
  const input: InspectInput = {
    instance: 'guest',
    volumeId: 'a',
    sizeBytes: 100,
    source: { kind: 'nbd', address: { host: 'h', port: 1, exportName: 'volume-source', tls: false } },
  };
  const versions = { libvirt: [9, 0], qemu: [7, 2] } as const;
  const because = (
    seen: Parameters<typeof mirrorRefusals>[0],
    with_: Partial<Parameters<typeof mirrorRefusals>[2]> = {},
  ) => mirrorRefusals(seen, input, { ...versions, ...with_ }).map(({ details }) => details?.['because']);

  it('is not one that is as it should be', () => assert.deepEqual(because(running), []));

  it('is refused with every reason at once', () => {
    const bad = { ...diskOn(source), readOnly: true, shareable: true, transient: true, encrypted: true };
    assert.deepEqual(because({ ...running, persistent: false, live: bad, qemu: { ...on(elsewhere), sizeBytes: 99 } }), [
      'transient-domain',
      'read-only',
      'shareable',
      'transient-disk',
      'encrypted',
      'elsewhere',
      'size',
    ]);
  });

  it('is one that somebody else works on', () => {
    const mirrored = { ...running, live: diskOn(source, mirrorTo(elsewhere)) };
    const backedUp = { ...running, qemu: { ...on(source), others: ['backup-vda-libvirt-3-format (backup)'] } };
    for (const seen of [mirrored, backedUp, { ...running, domainJob: 'Backup' }])
      assert.deepEqual(because(seen), ['foreign-job']);
    const [refused] = mirrorRefusals(mirrored, input, versions);
    assert.match(refused!.message, /\/dev\/other/);
  });

  it('is one of a guest whose QEMU could not be known again', () =>
    assert.deepEqual(because({ ...running, qemuIsSeen: false }), ['qemu-not-seen']));

  it('is known by what libvirt does with its whole domain', () => {
    assert.equal(readDomainJob('Job type:         None        \n\n'), null);
    assert.match(
      readDomainJob('Job type:         Unbounded   \nOperation:        Outgoing migration\nTime elapsed:     1 ms\n')!,
      /^Outgoing migration/,
    );
  });

  it('is refused by a hypervisor that is too old', () => {
    assert.deepEqual(because(running, { libvirt: [7, 9], qemu: [6, 1] }), ['too-old', 'too-old']);
    assert.deepEqual(because(running, { libvirt: [8, 0], qemu: [6, 2] }), []);
  });

  it('is judged by the version of the daemon, not of its client', () => {
    const text =
      'Compiled against library: libvirt 8.1.0\nRunning hypervisor: QEMU 7.2.22\nRunning against daemon: 9.0.0\n';
    assert.deepEqual(readDaemonVersion(text), [9, 0]);
    assert.throws(() => readDaemonVersion('nothing'), { type: 'ToolFailed' });
  });
});

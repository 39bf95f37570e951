import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { domainOf, readDomains } from '../../../activities/compute/find-domain.ts';
import { isQemuOf, identifyQemu, readStartTime, sameQemu } from '../../../activities/compute/qemu-process.ts';
import { readAnswer, readDisk, readForeignJobs, readJob, readVersion } from '../../../activities/compute/qmp.ts';
import { readGuestRuns } from '../../../activities/compute/resume-guest.ts';
import { askTogether, createVirsh, refusalOf } from '../../../activities/compute/virsh.ts';
import { FerryError } from '../../../model/errors.ts';

const recorded = (name: string) => readFile(join(import.meta.dirname, 'recorded', name), 'utf8');

describe('what QEMU says', () => {
  it('tells the file and the size of a disk', async () => {
    const answer = readAnswer(await recorded('query-block.json'));
    assert.deepEqual(readDisk(answer, 'virtio-disk0'), {
      file: 'nbd://127.0.0.1:21010/volume-src',
      sizeBytes: 67_108_864,
    });
    assert.equal(readDisk(answer, 'virtio-disk'), null);
  });

  it('tells how far a mirror is', async () => {
    const answer = readAnswer(await recorded('query-block-jobs.json'));
    assert.deepEqual(readJob(answer, 'vda'), {
      id: 'copy-vda-libvirt-1-format',
      status: 'running',
      ready: false,
      paused: false,
      offset: 0,
      length: 67_108_864,
      speed: 4_194_304,
    });
    assert.equal(readJob(answer, 'vd'), null);
  });

  it('tells what others do with the disk, and not what they do with another one', () => {
    const job = (device: string, type: string) =>
      ({ device, type, status: 'running', paused: false, offset: 0, len: 1, speed: 0 }) as const;
    const jobs = [
      job('copy-vda-libvirt-1-format', 'mirror'),
      job('backup-vda-libvirt-3-format', 'backup'),
      job('commit-vdb-libvirt-2-format', 'commit'),
      job('nightly', 'backup'),
    ];
    assert.deepEqual(readForeignJobs(jobs, 'vda', ['vda', 'vdb']), [
      'backup-vda-libvirt-3-format (backup)',
      'nightly (backup)',
    ]);
    assert.deepEqual(readForeignJobs(jobs.slice(0, 1), 'vdb', ['vda', 'vdb']), []);
  });

  it('tells its version', async () =>
    assert.deepEqual(readVersion(readAnswer(await recorded('query-version.json'))), [7, 2]));

  it('is an error when it refuses', () => {
    const refused =
      '{"id":"libvirt-424","error":{"class":"CommandNotFound","desc":"The command nonsense has not been found"}}';
    assert.throws(() => readAnswer(refused), { type: 'ToolFailed', message: /nonsense/ });
  });
});

describe('what virsh says', () => {
  for (const [words, refusal] of [
    [
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/a': No such file or directory",
      'libvirtd-down',
    ],
    ['error: End of file while reading data: Input/output error', 'libvirtd-down'],
    ["error: failed to get domain 'nope'", 'no-domain'],
    ['error: Requested operation is not valid: domain is not running', 'not-running'],
    ["error: block copy still active: block job 'copy-vda-libvirt-1-format' not ready for pivot yet", 'not-ready'],
    ["error: block copy still active: disk 'vda' already in active block job", 'job-exists'],
    ['error: invalid argument: disk vda does not have an active block job', 'no-job'],
    [
      'error: Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainBlockJobAbort)',
      'busy',
    ],
    ['virsh failed (not finished after 40 s)', 'busy'],
    [
      "error: internal error: unable to execute QEMU command 'block-job-cancel': Job 'copy-vda-libvirt-1-format' in state 'concluded' cannot accept command verb 'cancel'",
      'job-ended',
    ],
    ["Job 'copy-vdb-libvirt-3-format' in state 'aborting' cannot accept command verb 'complete'", 'job-ended'],
    ["Job 'copy-vdb-libvirt-3-format' in state 'concluded' cannot accept command verb 'resume'", 'job-ended'],
    ["Block job 'copy-vda-libvirt-1-format' not found", 'job-ended'],
    ["Job 'copy-vda-libvirt-1-format' in state 'running' cannot accept command verb 'dismiss'", 'other'],
    ['error: something new', 'other'],
  ] as const) {
    it(`means ${refusal}: ${words}`, () => assert.equal(refusalOf(words), refusal));
  }

  it('tells whether a guest runs, and why not', async () => {
    assert.equal(readGuestRuns(await recorded('domstats.txt')), 'running');
    assert.equal(readGuestRuns("Domain: 'a'\n  state.state=3\n  state.reason=5\n"), 'paused-by-io-error');
    assert.equal(readGuestRuns("Domain: 'a'\n  state.state=3\n  state.reason=1\n"), 'paused-by-somebody');
    assert.equal(readGuestRuns("Domain: 'a'\n  state.state=5\n  state.reason=1\n"), 'off');
  });
});

describe('which domain is meant', () => {
  const one = { uuid: '3e0a3c34-0000-4000-8000-000000000001', name: 'web 1' };
  const two = { uuid: '3e0a3c34-0000-4000-8000-000000000002', name: '3' };
  const at = (instance: string, domain?: string) => ({ instance, domain, volumeId: 'v' });

  it('is read whatever it is called', () =>
    assert.deepEqual(readDomains(`${one.uuid}  web 1\n ${two.uuid}   3   \n\n`), [one, two]));

  it('is the one of exactly that name or UUID, and no number of a running one', () => {
    assert.equal(domainOf([one, two], at('web 1')), one);
    assert.equal(domainOf([one, two], at(two.uuid.toUpperCase())), two);
    assert.equal(domainOf([one, two], at('3')), two);
    for (const other of ['1', 'web', 'WEB 1', '--all']) assert.equal(domainOf([one, two], at(other)), null);
  });

  it("is the one with the UUID that is known, be it renamed, and its name another one's", () => {
    assert.equal(domainOf([one, { ...two, name: 'web' }], at('web', one.uuid)), one);
    assert.equal(domainOf([two], at('3', one.uuid)), two);
  });

  it('is not guessed when a name is the UUID of another', () =>
    assert.throws(() => domainOf([one, { ...two, name: one.uuid }], at(one.uuid)), { type: 'InstanceNotReady' }));
});

describe("a guest's QEMU", () => {
  it('is known again by when it was started', async () => {
    const own = await identifyQemu(process.pid);
    assert.ok(own && sameQemu(own, await identifyQemu(process.pid)));
    const changes: Partial<typeof own>[] = [{ startedAt: own.startedAt + 1 }, { bootId: 'other' }, { pid: 1 }];
    for (const change of changes) assert.equal(sameQemu(own, { ...own, ...change }), false);
    assert.equal(sameQemu(null, null), false);
    assert.equal(await identifyQemu(2 ** 22 + 1), null);
    const fields = Array.from({ length: 30 }, (_, n) => String(n + 3));
    assert.equal(readStartTime(`1 (qemu) 3 (x)) ${fields.join(' ')}`), 22);
  });

  const argv = [
    '/usr/bin/qemu-system-x86_64',
    '-name',
    'guest=web,debug-threads=on',
    '-uuid',
    'u-1',
    '-display',
    'none',
  ];
  it('is known by its uuid', () => {
    assert.equal(isQemuOf(argv, { name: 'other', uuid: 'u-1' }), true);
    assert.equal(isQemuOf(argv, { name: 'web', uuid: 'u-2' }), false);
  });
  it('is known by its name when that is all there is', () => {
    assert.equal(isQemuOf(argv, { name: 'web', uuid: null }), true);
    assert.equal(isQemuOf(argv, { name: 'we', uuid: null }), false);
  });
  it('is no other program that names the guest', () =>
    assert.equal(isQemuOf(['virsh', 'start', 'web'], { name: 'web', uuid: null }), false));
});

describe('several questions in one start of virsh', () => {
  /** virsh as it is with more commands in one argument: what is refused leaves no answer, and the last one decides how it ends. */
  function virshThatRefuses(refused: RegExp, stderr: string) {
    const starts: string[] = [];
    const virsh = createVirsh({
      uri: 'test:///default',
      async run(argv) {
        const words = argv.slice(4);
        starts.push(words.join(' '));
        const asked = words.length > 1 ? [words.join(' ')] : words[0]!.split('; ');
        if (refused.test(asked.at(-1)!)) throw new FerryError('ToolFailed', 'refused', { stderr });
        const answers = asked.map((each) => (refused.test(each) ? '' : each.replace(/^echo /, '')));
        return { stdout: answers.join('\n') };
      },
    });
    return { virsh, starts };
  }
  const questions = [
    ['dumpxml', '--domain', 'vm 1'],
    ['dumpxml', '--inactive'],
  ] as const;

  it('get an answer each', async () => {
    const { virsh, starts } = virshThatRefuses(/nothing/, '');
    const answers = await askTogether(virsh, questions);
    assert.deepEqual(
      answers.map((each) => each.trim()),
      ["'dumpxml' '--domain' 'vm 1'", "'dumpxml' '--inactive'"],
    );
    assert.equal(starts.length, 1);
  });

  it('are asked one by one where one is refused, the first or the last', async () => {
    for (const which of [/vm 1/, /inactive/]) {
      const { virsh } = virshThatRefuses(which, 'error: failed to get domain');
      await assert.rejects(askTogether(virsh, questions), { message: /^virsh dumpxml: / });
    }
  });

  it('are not asked again of a libvirt that is away', async () => {
    const { virsh, starts } = virshThatRefuses(/inactive/, 'error: failed to connect to the hypervisor');
    await assert.rejects(askTogether(virsh, questions));
    assert.equal(starts.length, 1);
  });

  it('have no word that would be two', async () => {
    const { virsh, starts } = virshThatRefuses(/nothing/, '');
    await assert.rejects(askTogether(virsh, [['dumpxml', "a'; destroy 'b"]]), { type: 'InvalidInput' });
    assert.deepEqual(starts, []);
  });
});

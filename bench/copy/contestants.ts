import { execa } from 'execa';
import type { ExportAddress } from '../../activities/storage/exports.ts';
import type { Copier, Job, SourceExport } from '../../activities/storage/copy-job.ts';
import type { ServerKind } from './server.ts';
import { copyStart, type VerifyMode } from '../../model/migration.ts';

/** One copy to be made: the source as a file for local tools and as an export for the others, and a fresh, sparse file. */
export interface Task {
  readonly source: string;
  readonly address: SourceExport;
  readonly destination: string;
  readonly sizeBytes: number;
}

export interface Contestant {
  readonly name: string;
  readonly kind: 'dd' | 'tool' | 'ferry';
  readonly server: ServerKind;
  readonly copy: (task: Task) => Promise<unknown>;
}

const run = (program: string, ...args: string[]) => execa(program, args, { env: { LC_ALL: 'C' }, stdin: 'ignore' });
const url = ({ host, port, exportName }: ExportAddress) => `nbd://${host}:${port}/${exportName}`;

const dd = (name: string, conv: string): Contestant => ({
  name,
  kind: 'dd',
  server: 'qemu-nbd',
  // As Cinder calls it, but for notrunc, which a device needs not.
  copy: ({ source, destination, sizeBytes }) =>
    run(
      'dd',
      `if=${source}`,
      `of=${destination}`,
      `count=${sizeBytes}`,
      'bs=1M',
      'iflag=count_bytes,direct',
      'oflag=direct',
      `conv=${conv}`,
    ),
});

const nbdcopy: Contestant = {
  name: 'nbdcopy --flush',
  kind: 'tool',
  server: 'qemu-nbd',
  copy: ({ address, destination }) => run('nbdcopy', '--flush', url(address), destination),
};

const tools: Contestant[] = [
  dd('dd, local', 'notrunc'),
  dd('dd conv=sparse, local', 'notrunc,sparse'),
  {
    name: 'qemu-img, as Cinder calls it',
    kind: 'tool',
    server: 'qemu-nbd',
    copy: ({ address, destination }) => run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', url(address), destination),
  },
  {
    name: 'qemu-img -n -t none -T none -m 16 -W',
    kind: 'tool',
    server: 'qemu-nbd',
    copy: ({ address, destination }) =>
      run(
        'qemu-img',
        'convert',
        '-n',
        '-f',
        'raw',
        '-O',
        'raw',
        '-t',
        'none',
        '-T',
        'none',
        '-m',
        '16',
        '-W',
        url(address),
        destination,
      ),
  },
  nbdcopy,
];

const ferry = (copier: Copier, server: ServerKind, verify: VerifyMode): Contestant => ({
  name: `ferry, verify ${verify}${server === 'own' ? '' : ', from an older node'}`,
  kind: 'ferry',
  server,
  copy: async ({ source, address, destination, sizeBytes }) => {
    const common = { from: copyStart, bandwidth: null };
    const perform = (job: Job) =>
      copier.run(job, { signal: new AbortController().signal, onProgress: () => undefined });
    const target = { path: destination, sizeBytes, readsZero: true };
    const copied = await perform({
      ...common,
      kind: 'copy',
      source: address,
      tls: null,
      destination: target,
      digest: verify !== 'none',
      readBack: verify === 'both' || verify === 'reread',
    });
    if (copied.checkpoint.proven) return;
    const read = { none: [], inline: [], reread: [destination], both: [destination, source] }[verify];
    const digests = await Promise.all(
      read.map((path) => perform({ ...common, kind: 'digest', device: { path, sizeBytes } })),
    );
    if (digests.some(({ checkpoint }) => checkpoint.chain !== copied.checkpoint.chain))
      throw new Error('Source and destination do not hold what was copied');
  },
});

export const contestants = (copier: Copier): Contestant[] => [
  ...tools,
  { ...nbdcopy, name: 'nbdcopy --flush, from our own server', server: 'own' },
  ...(['none', 'inline', 'both'] as const).map((verify) => ferry(copier, 'own', verify)),
  ...(['inline', 'both'] as const).map((verify) => ferry(copier, 'qemu-nbd', verify)),
];

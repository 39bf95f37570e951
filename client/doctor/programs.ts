import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import type { Configuration } from '../../configuration/schema.ts';
import { fault, ok, type Finding } from './finding.ts';

interface Program {
  readonly name: string;
  /** Where Debian and Ubuntu have it. */
  readonly package: string;
  /** Arguments that make it tell its version in its first line. */
  readonly version?: readonly string[];
}

/** To cut connections that hang, or on which nothing is said. */
const ss: Program = { name: 'ss', package: 'iproute2' };
const ofStorage: readonly Program[] = [
  { name: 'qemu-nbd', package: 'qemu-utils', version: ['--version'] },
  { name: 'qemu-img', package: 'qemu-utils', version: ['--version'] },
  { name: 'perl', package: 'perl-base' },
  { name: 'flock', package: 'util-linux' },
  ss,
  { name: 'fincore', package: 'util-linux-extra' },
];
const ofLvm: readonly Program[] = [
  { name: 'lvm', package: 'lvm2', version: ['version'] },
  { name: 'lvs', package: 'lvm2' },
  { name: 'dmsetup', package: 'dmsetup' },
  { name: 'blkdiscard', package: 'util-linux' },
];
const ofThinPools: readonly Program[] = [{ name: 'thin_check', package: 'thin-provisioning-tools' }];
const ofDirectories: readonly Program[] = [
  { name: 'cp', package: 'coreutils' },
  { name: 'chattr', package: 'e2fsprogs' },
  { name: 'fallocate', package: 'util-linux' },
];
const ofCompute: readonly Program[] = [
  { name: 'virsh', package: 'libvirt-clients', version: ['--version'] },
  ss,
  // To send a guest to where its export is now.
  { name: 'nft', package: 'nftables' },
];

/** The programs that the workers of this configuration start. */
export function programsOf({ node, compute }: Configuration): Program[] {
  const lvm = node?.backEnds.filter((backEnd) => backEnd.driver === 'lvm') ?? [];
  return [
    ...(node ? ofStorage : []),
    ...(lvm.length > 0 ? ofLvm : []),
    ...(lvm.some(({ thinPool }) => thinPool !== undefined) ? ofThinPools : []),
    ...(node?.backEnds.some((backEnd) => backEnd.driver === 'directory') ? ofDirectories : []),
    ...(compute ? ofCompute : []),
  ];
}

/** Whether a program is in the search path, and of which version it is. */
export async function examineProgram(program: Program, path = process.env['PATH'] ?? ''): Promise<Finding> {
  const place = await placeOf(program.name, path);
  if (place === null)
    return fault(program.name, 'is not in PATH', `install it (Debian, Ubuntu: ${program.package}), or mend PATH`);
  if (!program.version) return ok(program.name, place);
  const said = await execa(place, program.version, { env: { LC_ALL: 'C' }, timeout: 10_000, all: true, reject: false });
  const [line = ''] = said.all.split('\n', 1);
  if (said.failed)
    return fault(program.name, `${place} fails: ${line}`, `see what it says: ${place} ${program.version.join(' ')}`);
  return ok(program.name, `${place}: ${line.trim()}`);
}

async function placeOf(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter).filter((each) => each !== '')) {
    const place = join(folder, name);
    const isThere = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  return null;
}

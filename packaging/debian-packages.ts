import { createHash } from 'node:crypto';
import { chmod, cp, lutimes, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { putNode, putPackages } from './installed-packages.ts';
import { checkout, filesBelow, readLockfile, type Manifest } from './npm-package.ts';

const architecture: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

interface Role {
  readonly name: string;
  readonly summary: string;
  readonly depends: readonly string[];
  readonly recommends?: readonly string[];
  /** Its systemd units. */
  readonly units: readonly string[];
  /** More files: from this checkout, to a place on the machine. */
  readonly files?: Readonly<Record<string, string>>;
}

const roles: readonly Role[] = [
  {
    name: 'ferry-storage',
    summary: 'storage worker: serves the back ends of this node',
    depends: [
      'qemu-utils',
      'util-linux',
      'util-linux-extra | util-linux (<< 2.38)',
      'e2fsprogs',
      'perl-base',
      'iproute2',
    ],
    recommends: ['lvm2', 'thin-provisioning-tools'],
    units: ['ferry-storage.service'],
  },
  {
    name: 'ferry-compute',
    summary: 'compute worker: attaches and mirrors the disks of the guests of this libvirtd',
    depends: ['libvirt-clients', 'iproute2', 'nftables'],
    recommends: ['libvirt-daemon-system', 'qemu-system-x86 | qemu-system-arm'],
    units: ['ferry-compute.service'],
  },
  {
    name: 'ferry-control',
    summary: 'control worker: workflows, the registry and the reconciler',
    depends: [],
    units: ['ferry-control.service'],
    files: { 'docs/monitoring': 'usr/share/ferry/monitoring' },
  },
  {
    name: 'ferry-api',
    summary: "Cinder's Block Storage API on top of Ferry, for stock clients",
    depends: [],
    units: ['ferry-api.service'],
  },
  { name: 'ferry-client', summary: 'command line for users and administrators', depends: [], units: [] },
];

/** Where the code of all roles is, and the Node that runs it. */
const library = 'usr/lib/ferry';

export interface DebianOptions {
  /** A staged release. */
  readonly stage: string;
  readonly manifest: Manifest;
  /** A folder for trees of files while packages are made. */
  readonly work: string;
  readonly output: string;
  /** Seconds since 1970: the time of every file. */
  readonly time: number;
  readonly compression: 'xz' | 'none';
}

/** Makes the packages of all roles, and ferry-common with what they share; answers with their paths. Equal input, equal bytes. */
export async function makeDebianPackages(options: DebianOptions): Promise<string[]> {
  const made = [await makeCommon(options)];
  for (const role of roles) made.push(await makeRole(options, role));
  return made;
}

async function makeCommon(options: DebianOptions): Promise<string> {
  const { stage, manifest, work } = options;
  const tree = join(work, 'ferry-common');
  await cp(stage, join(tree, library), { recursive: true });
  await putPackages(join(tree, library), await readLockfile(), Object.keys(manifest.dependencies));
  await putNode(join(tree, library, 'node'));
  await mkdir(join(tree, 'usr/bin'), { recursive: true });
  await cp(join(import.meta.dirname, 'debian/ferry'), join(tree, 'usr/bin/ferry'));
  await cp(join(import.meta.dirname, 'debian/etc'), join(tree, 'etc/ferry'), { recursive: true });
  return makePackage(options, {
    tree,
    name: 'ferry-common',
    summary: 'code, Node and configuration that all roles of Ferry share',
    depends: ['libc6 (>= 2.28)', 'libstdc++6', 'passwd'],
    script: (name) => join(import.meta.dirname, `debian/common.${name}`),
  });
}

async function makeRole(options: DebianOptions, role: Role): Promise<string> {
  const tree = join(options.work, role.name);
  await mkdir(tree, { recursive: true });
  for (const unit of role.units) {
    await putFile(
      join(tree, 'lib/systemd/system', unit),
      await readFile(join(import.meta.dirname, 'units', unit), 'utf8'),
      0o644,
    );
  }
  for (const [from, to] of Object.entries(role.files ?? {}))
    await cp(join(checkout, from), join(tree, to), { recursive: true });
  return makePackage(options, {
    tree,
    name: role.name,
    summary: role.summary,
    depends: [`ferry-common (= ${options.manifest.version})`, ...role.depends],
    recommends: role.recommends,
    ...(role.units.length
      ? { script: (name) => join(import.meta.dirname, `debian/worker.${name}`), unit: role.units[0] }
      : {}),
  });
}

interface PackageDescription {
  readonly tree: string;
  readonly name: string;
  readonly summary: string;
  readonly depends: readonly string[];
  readonly recommends?: readonly string[] | undefined;
  /** The file of a maintainer script; none: there are none. */
  readonly script?: (name: string) => string;
  /** What its scripts start and stop. */
  readonly unit?: string | undefined;
}

const maintainerScripts = ['postinst', 'prerm', 'postrm'] as const;

async function makePackage(options: DebianOptions, described: PackageDescription): Promise<string> {
  const { manifest, output, time, compression } = options;
  const { tree, name } = described;
  const doc = join(tree, 'usr/share/doc', name);
  await putFile(join(doc, 'copyright'), `Ferry ${manifest.version}\nLicense: ${manifest.license}\n`, 0o644);
  const control = join(tree, 'DEBIAN');
  await mkdir(control, { recursive: true });
  await writeFile(join(control, 'md5sums'), await checksums(tree));
  const conffiles = (await filesBelow(tree)).filter((file) => file.startsWith('etc/'));
  if (conffiles.length) await writeFile(join(control, 'conffiles'), conffiles.map((file) => `/${file}\n`).join(''));
  if (described.script) {
    for (const script of maintainerScripts) {
      const text = await readFile(described.script(script), 'utf8');
      await putFile(join(control, script), text.replaceAll('@UNIT@', described.unit ?? ''), 0o755);
    }
  }
  await writeFile(join(control, 'control'), await controlFile(options, described));
  await setTimes(tree, time);
  const file = join(output, `${name}_${manifest.version}_${debianArchitecture()}.deb`);
  await execa('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '--build', tree, file], {
    env: { SOURCE_DATE_EPOCH: String(time) },
  });
  return file;
}

async function controlFile({ manifest }: DebianOptions, described: PackageDescription): Promise<string> {
  const { tree, name, summary, depends, recommends = [] } = described;
  const files = await Promise.all((await filesBelow(tree)).map((file) => readFile(join(tree, file))));
  const kib = Math.ceil(files.reduce((total, bytes) => total + bytes.length, 0) / 1024);
  const fields = {
    Package: name,
    Version: manifest.version,
    Architecture: debianArchitecture(),
    Maintainer: 'Ferry <ferry@localhost>',
    'Installed-Size': String(kib),
    Depends: depends.join(', '),
    Recommends: recommends.join(', '),
    Section: 'admin',
    Priority: 'optional',
    Description: `Ferry: ${summary}\n ${manifest.description}.`,
  };
  const lines = Object.entries(fields).filter(([, value]) => value !== '');
  return lines.map(([field, value]) => `${field}: ${value}\n`).join('');
}

function debianArchitecture(): string {
  const found = architecture[process.arch];
  if (found === undefined) throw new Error(`There is no Debian package for ${process.arch}.`);
  return found;
}

async function putFile(file: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

async function checksums(tree: string): Promise<string> {
  const lines: string[] = [];
  for (const file of (await filesBelow(tree)).filter((each) => !each.startsWith('DEBIAN/'))) {
    const digest = createHash('md5').update(await readFile(join(tree, file)));
    lines.push(`${digest.digest('hex')}  ${file}\n`);
  }
  return lines.join('');
}

/** Also its rights: those of a checkout depend on whose it is. */
async function setTimes(tree: string, time: number): Promise<void> {
  for (const each of await readdir(tree, { withFileTypes: true })) {
    const path = join(tree, each.name);
    if (each.isDirectory()) await setTimes(path, time);
    else if (each.isFile()) await chmod(path, programs.test(path) ? 0o755 : 0o644);
    await lutimes(path, time, time);
  }
  await chmod(tree, 0o755);
  await lutimes(tree, time, time);
}

/** What is run by its name; npm packages mark more, which nobody runs. */
const programs =
  /\/(DEBIAN\/(postinst|prerm|postrm)|usr\/lib\/ferry\/node|usr\/bin\/ferry|usr\/lib\/ferry\/bin\/start\.js)$/;

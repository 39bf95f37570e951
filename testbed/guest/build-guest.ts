import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { systemPath } from '../requirements.ts';
import { type ArchiveEntry, cpioArchive, fileMode, folderMode, linkMode, programMode } from './cpio.ts';
import { findKernel, modulesInOrder } from './kernel.ts';

/** What a test guest boots. */
export interface GuestImage {
  readonly kernel: string;
  readonly initramfs: string;
}

/** Disks; and the power button. */
const modules = ['virtio_pci', 'virtio_blk', 'evdev', 'button'];

/**
 * Builds the test guest into `folder`: a kernel of this machine, busybox, and the record-writer compiled from its source.
 * Needs gcc with a static C library and a statically linked busybox.
 */
export async function buildGuest(folder: string): Promise<GuestImage> {
  await mkdir(folder, { recursive: true });
  const kernel = await findKernel();
  const loaded = await modulesInOrder(kernel, modules);
  const entries: ArchiveEntry[] = [
    ...['bin', 'modules'].map((path) => ({ path, mode: folderMode, content: Buffer.alloc(0) })),
    { path: 'init', mode: programMode, content: await readFile(join(import.meta.dirname, 'init.sh')) },
    { path: 'bin/busybox', mode: programMode, content: await busybox() },
    { path: 'bin/sh', mode: linkMode, content: Buffer.from('busybox') },
    { path: 'bin/record-writer', mode: programMode, content: await recordWriter(folder) },
    ...loaded.map(({ name, content }) => ({ path: `modules/${name}`, mode: fileMode, content })),
    { path: 'modules.order', mode: fileMode, content: Buffer.from(loaded.map(({ name }) => `${name}\n`).join('')) },
  ];
  const initramfs = join(folder, 'initramfs.gz');
  await writeFile(initramfs, gzipSync(cpioArchive(entries)));
  return { kernel: kernel.image, initramfs };
}

async function busybox(): Promise<Buffer> {
  const { stdout } = await execa('which', ['busybox'], { env: { PATH: systemPath }, reject: false });
  if (!stdout) throw new Error('The test guest needs busybox. Install it: apt-get install busybox-static');
  const program = await readFile(stdout);
  if (program.includes('/lib64/ld-linux')) {
    throw new Error(
      `${stdout} is not statically linked, so the test guest cannot use it. Install: apt-get install busybox-static`,
    );
  }
  return program;
}

async function recordWriter(folder: string): Promise<Buffer> {
  const work = await mkdtemp(join(folder, 'compile-'));
  try {
    const program = join(work, 'record-writer');
    await execa('gcc', ['-O2', '-Wall', '-static', '-o', program, join(import.meta.dirname, 'record-writer.c')]);
    return await readFile(program);
  } finally {
    await rm(work, { recursive: true });
  }
}

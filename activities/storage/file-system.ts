import { stat, statfs } from 'node:fs/promises';

/** What is known of the file system that a volume's file is on. */
export interface FileSystem {
  /** What it tells of as a hole reads as zeros. */
  readonly tellsHoles: boolean;
  /** What is opened with O_DIRECT is read from its medium; others may take the flag and still answer from memory. */
  readonly readsDirect: boolean;
  /** It has a medium: what is dropped from memory is still there. */
  readonly hasMedium: boolean;
}

const wellKnown: FileSystem = { tellsHoles: true, readsDirect: true, hasMedium: true };
const inMemory: FileSystem = { tellsHoles: true, readsDirect: false, hasMedium: false };
/** Network, FUSE, layers over others: what they tell may be somebody else's word, or an old one. */
const unknown: FileSystem = { tellsHoles: false, readsDirect: false, hasMedium: true };

/** By the numbers of statfs(2). */
const fileSystems = new Map<number, FileSystem>([
  [0xef53, wellKnown], // ext2, ext3, ext4
  [0x58465342, wellKnown], // XFS
  [0x9123683e, wellKnown], // Btrfs
  [0x01021994, inMemory], // tmpfs
]);

/** The file system that the file is on. */
export async function fileSystemOf(file: string): Promise<FileSystem> {
  const { type } = await statfs(file);
  return fileSystems.get(type) ?? unknown;
}

/** Whether what is told of holes in it can be believed. A block device tells of none. */
export async function tellsHoles(device: string): Promise<boolean> {
  return (await stat(device)).isFile() && (await fileSystemOf(device)).tellsHoles;
}

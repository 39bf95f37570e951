/** What the process that keeps the nodes (keeper.ts) is told, over Node's IPC channel. */

import type { NodeKernel } from '../setup/node-kernel.mjs';

export const subnet = '10.112.0';
/** Where nodes find this machine's forwarded ports. */
export const gateway = `${subnet}.1`;

export interface NodeSettings {
  name: string;
  /** Each on a disk of its own. */
  volumeGroups: readonly { name: string; sizeMib: number }[];
  /** Further disks without anything on them, MiB each; their devices follow those of the volume groups. */
  extraDisksMib?: readonly number[];
}

export interface KeeperSettings {
  /** Short private folder for sockets and the like. */
  runtime: string;
  /** Shared with the nodes, at the same path there. */
  share: string;
  /** Folder for the consoles' logs. */
  logs: string;
  kernel: NodeKernel;
  /** Loaded into the kernel's process before its own libraries; null: not needed. */
  shim: string | null;
  memoryMib: number;
  nodes: readonly NodeSettings[];
  forward: readonly number[];
  guestPorts: readonly number[];
}

export type PowerAction = 'powerOff' | 'powerOn' | 'freeze' | 'thaw';
export type Order = { action: 'start'; settings: KeeperSettings } | { action: PowerAction; node: string };
export type OrderMessage = Order & { id: number };
export interface OrderAnswer {
  id: number;
  /** Why it did not work. */
  error: string | null;
}

/** What the keeper says unasked: a node's kernel has panicked. */
export interface PanicNotice {
  panicked: string;
  /** The node's last words. */
  words: string;
}

/** Path of the unix socket outside that leads to a TCP port of a node. */
export const nodeSocket = (runtime: string, node: string, port: number) => `${runtime}/${node}-${port}.sock`;
/** Path of the unix socket that leads to a port of this machine's loopback. */
export const outsideSocket = (runtime: string, port: number) => `${runtime}/outside-${port}.sock`;
/** A file of the folder of disks; `number` counts those of the node's volume groups, then the further ones. */
export const diskName = (node: string, number: number) => `${node}-${number}.img`;
export const nodeAddress = (index: number) => `${subnet}.${11 + index}`;

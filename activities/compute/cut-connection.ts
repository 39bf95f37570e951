import type { RunCommand } from '../storage/run-command.ts';
import { tellAddress } from './address.ts';
import type { DiskSource } from './disk-source.ts';
import type { LocatedDisk } from './find-domain.ts';
import { askMonitor } from './observe-disk.ts';
import type { DomainDisk } from './domain-xml.ts';
import type { Virsh } from './virsh.ts';

/** Breaks off the hypervisor's connections to an export that hangs. May be repeated; rejects when it is not allowed to. */
export type CutConnection = (source: DiskSource) => Promise<void>;

/** Through the kernel: needs CAP_NET_ADMIN. For a QEMU that waits for its storage and hears nothing else. */
export function createCutConnection(run: RunCommand): CutConnection {
  return async (source) => {
    if (source.kind !== 'nbd') return;
    await run(['ss', '--kill', '--no-header', 'dst', tellAddress(source.address)]);
  };
}

/**
 * Lets QEMU itself break off its connection to a mirror's destination. Done before every abort: an abort waits for the
 * destination, and when that one hangs, the guest would freeze with it.
 */
export async function yankMirror(virsh: Virsh, at: LocatedDisk, live: DomainDisk): Promise<void> {
  if (live.mirror?.place?.kind !== 'nbd' || live.mirror.node === null) return;
  // Refused when the connection is gone already; then there is nothing to break off.
  await askMonitor(virsh, at.domain, 'yank', {
    instances: [{ type: 'block-node', 'node-name': live.mirror.node }],
  }).catch(() => {});
}

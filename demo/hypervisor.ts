import { join } from 'node:path';
import { computeNode } from '../testbed/compute-node.ts';
import { buildGuest } from '../testbed/guest/build-guest.ts';
import type { GuestConsole } from '../testbed/guest/guest-console.ts';
import { startGuest } from '../testbed/guest/start-guest.ts';
import { startLibvirt } from '../testbed/libvirt/start-libvirt.ts';
import type { PlainSystem } from '../testbed/system.ts';

/** A hypervisor of the demo's own, with one guest that writes to every disk it gets, and the compute worker beside it. */
export interface DemoHypervisor {
  /** As attachments name it. */
  readonly name: string;
  readonly instance: string;
  readonly guest: GuestConsole;
  stop(): Promise<void>;
}

/** Starts it all; a libvirt that the machine may have is not touched. */
export async function startHypervisor(system: PlainSystem): Promise<DemoHypervisor> {
  const [name, instance] = ['hv1', 'vm-1'];
  const libvirt = await startLibvirt();
  try {
    const image = await buildGuest(join(libvirt.folder, 'guest'));
    const guest = await startGuest(libvirt, { name: instance, image });
    const directory = join(system.directory, 'compute');
    const worker = await computeNode({ name, directory, libvirtUri: libvirt.uri, configuration: {}, env: system.env });
    await worker.start();
    return {
      name,
      instance,
      guest,
      async stop() {
        await worker.signal('SIGKILL');
        await libvirt.stop();
      },
    };
  } catch (error) {
    await libvirt.stop();
    throw error;
  }
}

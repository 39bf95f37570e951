import { XMLBuilder } from 'fast-xml-parser';
import type { GuestImage } from './build-guest.ts';

export interface GuestSettings {
  readonly name: string;
  readonly image: GuestImage;
  /** The file that takes the serial console. */
  readonly consolePath: string;
  /** Records a second that it writes to each of its disks; 0 is flat out. */
  readonly rate?: number;
  /** On how many slots of 4 KiB; 0 is the whole disk. */
  readonly span?: number;
}

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@', suppressEmptyNode: true });

/** The test guest's domain: small, without disks, with room to plug some in. Emulated, so that it runs anywhere. */
export function guestDefinition(settings: GuestSettings): string {
  const { name, image, consolePath, rate = 20, span = 2048 } = settings;
  return builder.build({
    domain: {
      '@type': 'qemu',
      name,
      memory: { '@unit': 'MiB', '#text': 96 },
      vcpu: 1,
      os: {
        type: { '@arch': 'x86_64', '@machine': 'q35', '#text': 'hvm' },
        kernel: image.kernel,
        initrd: image.initramfs,
        // On a busy machine an emulated timer ticks too seldom for the kernel's test of it, and it panics.
        cmdline: `console=ttyS0 quiet no_timer_check mitigations=off writer.rate=${rate} writer.span=${span}`,
      },
      features: { acpi: '' },
      on_poweroff: 'destroy',
      on_crash: 'destroy',
      devices: {
        controller: [
          { '@type': 'pci', '@model': 'pcie-root' },
          // q35 takes a disk into a running guest only through a root port of its own.
          ...Array.from({ length: 6 }, () => ({ '@type': 'pci', '@model': 'pcie-root-port' })),
          { '@type': 'usb', '@model': 'none' },
        ],
        serial: { '@type': 'file', source: { '@path': consolePath }, target: { '@type': 'isa-serial', '@port': 0 } },
        memballoon: { '@model': 'none' },
      },
    },
  });
}

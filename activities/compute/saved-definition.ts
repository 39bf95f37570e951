import { diskWithSource, diskXml } from './disk-xml.ts';
import type { DiskSource } from './disk-source.ts';
import type { LocatedDisk } from './find-domain.ts';
import { attachFile } from './late-attach.ts';
import { type Virsh, withFile } from './virsh.ts';

/** Makes the persistent definition name that source for the disk, all else as it is. The running guest is not touched. */
export async function saveSource(virsh: Virsh, at: LocatedDisk, device: string, source: DiskSource): Promise<void> {
  const definition = await virsh('dumpxml', '--domain', at.domain, '--inactive', '--security-info');
  const changed = diskWithSource(definition, at.volumeId, source);
  const xml = changed ?? diskXml({ source, device, volumeId: at.volumeId, readOnly: false });
  await withFile(
    xml,
    (file) =>
      virsh(changed === null ? 'attach-device' : 'update-device', '--domain', at.domain, '--file', file, '--config'),
    attachFile(at.volumeId),
  );
}

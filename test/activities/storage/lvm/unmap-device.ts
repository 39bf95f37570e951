// node unmap-device.ts DEVICE BYTES: unmaps the zeros of a device, as a copier does. Run on the node that has it.
import { unmap } from '../../../../activities/storage/copier/unmap.ts';
import { copyStart } from '../../../../model/migration.ts';

const [path = '', bytes] = process.argv.slice(2);
const { finished } = await unmap(
  { kind: 'unmap', device: { path, sizeBytes: Number(bytes) }, from: copyStart, unless: `${path}.unmapped` },
  { signal: new AbortController().signal, onProgress: () => undefined },
);
console.log(finished ? 'finished' : 'not finished');
process.exit();

import * as z from 'zod';
import type { StorageNodes } from '../../testbed/nodes.ts';
import type { Stretch } from './digest-device.ts';

const bytes = z.coerce.number().int().nonnegative();
const answer = z.object({
  report: z.tuple([
    z.object({
      pvseg: z.array(
        z.object({
          pv_name: z.string(),
          pe_start: bytes,
          vg_extent_size: bytes,
          pvseg_start: bytes,
          pvseg_size: bytes,
          lv_name: z.string(),
          lv_attr: z.string(),
          seg_start: bytes,
          segtype: z.string(),
        }),
      ),
    }),
  ]),
});
const columns = 'pv_name,pe_start,vg_extent_size,pvseg_start,pvseg_size,lv_name,lv_attr,seg_start,segtype';

/**
 * Where on its volume group's one disk a logical volume has its bytes, in order: what is on the medium, whatever the node believes. Null when it
 * is more than stretches of that disk: a snapshot, or thin.
 */
export async function linearExtents(
  nodes: StorageNodes,
  node: string,
  group: string,
  volume: string,
): Promise<Stretch[] | null> {
  const { stdout } = await nodes.exec(node, [
    ...['pvs', '--segments', '--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', columns],
    ...['-S', `vg_name=${group}`],
  ]);
  const segments = answer.parse(JSON.parse(stdout)).report[0].pvseg.filter(({ lv_name }) => lv_name === volume);
  if (segments.length === 0 || segments.some(({ segtype, lv_attr }) => segtype !== 'linear' || /^s/i.test(lv_attr)))
    return null;
  return segments
    .toSorted((a, b) => a.seg_start - b.seg_start)
    .map(({ pe_start, vg_extent_size, pvseg_start, pvseg_size }) => ({
      from: pe_start + pvseg_start * vg_extent_size,
      bytes: pvseg_size * vg_extent_size,
    }));
}

import type { Execute } from './nodes.ts';

/** What is put under a live logical volume by swapping its device-mapper table; open exports go on using it. */
export type Fault =
  /** 4 KiB at this byte can be neither read nor written. */
  | { kind: 'error-at'; byte: number }
  /** All I/O fails. */
  | { kind: 'error' }
  /** So many seconds fine, then one second in which all I/O fails, and so on. */
  | { kind: 'flakey'; goodSeconds: number }
  /** Reads are fine, writes vanish without an error. */
  | { kind: 'drop-writes' }
  /** Each I/O takes so many milliseconds more. */
  | { kind: 'delay'; milliseconds: number }
  /** I/O waits until it is healed. */
  | { kind: 'hang' }
  /** LVM's own table again. */
  | { kind: 'heal' };

const sectorSize = 512;
const badSectors = 8;

/** Puts `fault` in place of the one there may be. All but `hang` and `heal` need a volume of one linear segment. */
export async function injectFault(exec: Execute, group: string, volume: string, fault: Fault): Promise<void> {
  const device = `${escape(group)}-${escape(volume)}`;
  if (fault.kind === 'hang') {
    await exec(['dmsetup', 'suspend', '--noflush', '--nolockfs', device]);
    return;
  }
  if (fault.kind === 'heal') await exec(['dmsetup', 'resume', device]);
  await exec(['lvchange', '--refresh', `${group}/${volume}`]);
  if (fault.kind === 'heal') return;
  const { stdout } = await exec(['dmsetup', 'table', device]);
  await exec(['dmsetup', 'load', device], { stdin: faultyTable(stdout, fault) });
  await exec(['dmsetup', 'suspend', '--noflush', device]);
  await exec(['dmsetup', 'resume', device]);
}

/** `table` is a volume's own: "0 SECTORS linear DEVICE OFFSET". */
export function faultyTable(table: string, fault: Exclude<Fault, { kind: 'hang' | 'heal' }>): string {
  const [line = '', ...others] = table.trim().split('\n');
  const [start, length = '', target, device, offset = ''] = line.split(' ');
  if (others.length || start !== '0' || target !== 'linear') throw new Error(`not one linear segment: ${table}`);
  const all = `0 ${length}`;
  switch (fault.kind) {
    case 'error-at': {
      const bad = Math.floor(fault.byte / sectorSize / badSectors) * badSectors;
      const after = bad + badSectors;
      return [
        ...(bad > 0 ? [`0 ${bad} linear ${device} ${offset}`] : []),
        `${bad} ${badSectors} error`,
        ...(after < Number(length)
          ? [`${after} ${Number(length) - after} linear ${device} ${Number(offset) + after}`]
          : []),
      ].join('\n');
    }
    case 'error':
      return `${all} error`;
    case 'flakey':
      return `${all} flakey ${device} ${offset} ${fault.goodSeconds} 1`;
    case 'drop-writes':
      return `${all} flakey ${device} ${offset} 0 1 1 drop_writes`;
    case 'delay':
      return `${all} delay ${device} ${offset} ${fault.milliseconds}`;
  }
}

/** Device-mapper's names join group and volume with one hyphen and double those within. */
const escape = (name: string) => name.replaceAll('-', '--');

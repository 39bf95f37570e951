import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { refusalOf } from './virsh.ts';

const answer = z.union([
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }) }),
]);

const blockDevices = z.array(
  z.object({
    qdev: z.string().optional(),
    inserted: z.object({ file: z.string(), image: z.object({ 'virtual-size': z.number() }) }).optional(),
  }),
);

const blockJobs = z.array(
  z.object({
    device: z.string(),
    type: z.string(),
    status: z.string(),
    ready: z.boolean().optional(),
    paused: z.boolean(),
    offset: z.number(),
    len: z.number(),
    speed: z.number(),
  }),
);

const version = z.object({ qemu: z.object({ major: z.number(), minor: z.number() }) });

/** What a device of the guest is on, as QEMU itself says. */
export interface QemuDisk {
  readonly file: string;
  readonly sizeBytes: number;
}

/** A mirror, as QEMU itself says. */
export interface QemuJob {
  readonly id: string;
  /** QEMU's job states: created, running, paused, ready, standby, waiting, pending, aborting, concluded, null. */
  readonly status: string;
  readonly ready: boolean;
  readonly paused: boolean;
  readonly offset: number;
  readonly length: number;
  /** Bytes a second, 0 is no cap. */
  readonly speed: number;
}

/** What `qemu-monitor-command` printed, without its envelope. QEMU's refusals become `ToolFailed`. */
export function readAnswer(text: string): unknown {
  const read = answer.parse(JSON.parse(text));
  if ('return' in read) return read.return;
  throw new FerryError('ToolFailed', `QEMU refused: ${read.error.desc}`, {
    class: read.error.class,
    refusal: refusalOf(read.error.desc),
  });
}

/** The disk of that alias in the answer to `query-block`. */
export function readDisk(value: unknown, alias: string): QemuDisk | null {
  const device = blockDevices.parse(value).find(({ qdev }) => qdev === alias || qdev?.includes(`/${alias}/`));
  const inserted = device?.inserted;
  return inserted ? { file: inserted.file, sizeBytes: inserted.image['virtual-size'] } : null;
}

/** The mirror of that device in the answer to `query-block-jobs`; libvirt names it `copy-<device>-<node>`. */
export function readJob(value: unknown, device: string): QemuJob | null {
  const job = blockJobs.parse(value).find((candidate) => candidate.device.startsWith(`copy-${device}-`));
  if (!job) return null;
  const { status, paused, offset, len, speed } = job;
  return { id: job.device, status, paused, ready: job.ready ?? false, offset, length: len, speed };
}

/**
 * The jobs in the answer to `query-block-jobs` that are not libvirt's copy of that device: a backup, a commit, a copy of somebody else's.
 * libvirt names the disk in a job's id; one that names none of the domain's disks may be at any of them.
 */
export function readForeignJobs(value: unknown, device: string, devices: readonly string[]): string[] {
  const others = devices.filter((each) => each !== device);
  return blockJobs
    .parse(value)
    .filter(({ device: id }) => !id.startsWith(`copy-${device}-`))
    .filter(({ device: id }) => !others.some((other) => id.split('-')[1] === other))
    .map(({ device: id, type }) => `${id} (${type})`);
}

/** The answer to `query-version`. */
export function readVersion(value: unknown): readonly [number, number] {
  const { qemu } = version.parse(value);
  return [qemu.major, qemu.minor];
}

import type { Place } from './disk-source.ts';
import { placeOfQemuFile } from './disk-source.ts';
import { type Domain, type DomainDisk, parseDomain } from './domain-xml.ts';
import { type DiskOfInstance, domainOf, type LocatedDisk, readDomains } from './find-domain.ts';
import { readAnswer, readDisk, readForeignJobs, readJob, type QemuDisk, type QemuJob } from './qmp.ts';
import type { GuestName } from './qemu-process.ts';
import { askTogether, refusalIn, type Virsh } from './virsh.ts';

/** All that libvirt and QEMU say of a disk at one moment. Nothing here is remembered. */
export interface Observations {
  /** How libvirt answered; with `down` and `hangs` the rest is empty. */
  readonly libvirt: 'answers' | 'down' | 'hangs';
  /** Null: libvirt has no such domain. */
  readonly domain: Pick<Domain, 'name' | 'uuid' | 'active'> | null;
  /** The disk of the running guest, in libvirt's eyes. */
  readonly live: DomainDisk | null;
  /** The disk in the persistent definition. */
  readonly saved: DomainDisk | null;
  readonly persistent: boolean;
  /** What the guest writes to, in QEMU's eyes; null when QEMU did not say. */
  readonly qemu: {
    readonly place: Place | null;
    readonly sizeBytes: number;
    /** libvirt's copy of this disk. */
    readonly job: QemuJob | null;
    /** All else that QEMU does with this disk: `backup-vda-libvirt-3-format (backup)`. */
    readonly others?: readonly string[];
  } | null;
  /** A QEMU process of this guest, looked for when libvirt says that there is none. */
  readonly strayQemu: number | null;
  /** Why QEMU or libvirt did not say what was asked. */
  readonly trouble: string | null;
}

export interface ObservationTools {
  readonly virsh: Virsh;
  readonly findQemuProcess: (guest: GuestName) => Promise<number | null>;
}

const nothing: Observations = {
  libvirt: 'answers',
  domain: null,
  live: null,
  saved: null,
  persistent: false,
  qemu: null,
  strayQemu: null,
  trouble: null,
};

/** Asks libvirt and QEMU; changes nothing. */
export async function observeDisk(tools: ObservationTools, at: DiskOfInstance): Promise<Observations> {
  const { virsh, findQemuProcess } = tools;
  const bySerial = (domain: Domain | null) => domain?.disks.find(({ serial }) => serial === at.volumeId) ?? null;
  try {
    const list = ['list', '--uuid', '--name', '--all'] as const;
    const [all = '', persistent = ''] = await askTogether(virsh, [list, [...list, '--persistent']]);
    const named = domainOf(readDomains(all), at);
    if (!named) return { ...nothing, strayQemu: await findQemuProcess({ name: at.instance, uuid: at.domain ?? null }) };
    const dump = ['dumpxml', '--domain', named.uuid, '--security-info'] as const;
    const hasDefinition = readDomains(persistent).some(({ uuid }) => uuid === named.uuid);
    const [now = '', defined] = await askTogether(virsh, [
      dump,
      ...(hasDefinition ? [[...dump, '--inactive'] as const] : []),
    ]);
    const domain = parseDomain(now);
    // A transient domain has no definition of its own.
    const saved = domain.active ? (defined === undefined ? null : parseDomain(defined)) : domain;
    const seen = { ...nothing, domain, saved: bySerial(saved), persistent: saved !== null };
    if (!domain.active) return { ...seen, strayQemu: await findQemuProcess(domain) };
    const live = bySerial(domain);
    if (!live) return seen;
    return { ...seen, live, ...(await askQemu(virsh, domain, live)) };
  } catch (error) {
    const trouble = error instanceof Error ? error.message : String(error);
    const refusal = refusalIn(error);
    if (refusal === 'libvirtd-down') return { ...nothing, libvirt: 'down', trouble };
    if (refusal === 'busy') return { ...nothing, libvirt: 'hangs', trouble };
    // It ended, or was undefined, between two questions: the next answers are all of one time.
    if (refusal === 'not-running' || refusal === 'no-domain') return observeDisk(tools, at);
    throw error;
  }
}

async function askQemu(
  virsh: Virsh,
  { uuid, disks }: Domain,
  live: DomainDisk,
): Promise<Pick<Observations, 'qemu' | 'trouble'>> {
  try {
    // The job first: when it ends between the two questions, the disk's place is the news, not the job.
    const [jobs, blocks] = (
      await askTogether(virsh, [monitorCommand(uuid, 'query-block-jobs'), monitorCommand(uuid, 'query-block')])
    ).map(readAnswer);
    const job = readJob(jobs, live.device);
    const devices = disks.map(({ device }) => device);
    const others = readForeignJobs(jobs, live.device, devices);
    const disk: QemuDisk | null = live.alias === null ? null : readDisk(blocks, live.alias);
    if (!disk) return { qemu: null, trouble: `QEMU knows no disk ${live.device}` };
    return { qemu: { place: placeOfQemuFile(disk.file), sizeBytes: disk.sizeBytes, job, others }, trouble: null };
  } catch (error) {
    if (refusalIn(error) === 'not-running') throw error;
    return { qemu: null, trouble: error instanceof Error ? error.message : String(error) };
  }
}

/** The disk, now that it is known whose it is. */
export function located(at: DiskOfInstance, { domain }: Observations): LocatedDisk {
  return { ...at, domain: domain!.uuid };
}

/** One question to, or command for, the QEMU of the domain with that UUID. */
export async function askMonitor(
  virsh: Virsh,
  domain: string,
  execute: string,
  parameters: Record<string, unknown> = {},
): Promise<unknown> {
  return readAnswer(await virsh(...monitorCommand(domain, execute, parameters)));
}

function monitorCommand(domain: string, execute: string, parameters: Record<string, unknown> = {}) {
  const command = JSON.stringify({ execute, ...(Object.keys(parameters).length ? { arguments: parameters } : {}) });
  return ['qemu-monitor-command', '--domain', domain, '--cmd', command] as const;
}

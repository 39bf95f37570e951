import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { destinationXml } from '../activities/compute/disk-xml.ts';
import { fillImage } from '../testbed/guest/records.ts';
import { AttachedStage } from '../test/end-to-end/attached-stage.ts';
import { server1 } from '../test/end-to-end/stage.ts';
import type { BenchOptions } from './run.ts';

interface Move {
  /** All of it, as its caller sees it. */
  readonly seconds: number;
  /** From the mirror's start to the guest's turn. */
  readonly mirrorSeconds: number;
  /** The longest that a write of the guest took meanwhile. */
  readonly stallMs: number;
}

const sizeMib = 1024;

/**
 * 1 GiB under a guest that writes all the time: moved by Ferry, and by a bare `virsh blockcopy --wait --pivot` over the same kind of
 * export. What Ferry does around the mirror is printed apart: it does not grow with the volume.
 */
export async function run({ rounds }: BenchOptions): Promise<void> {
  const stage = await AttachedStage.set();
  try {
    const bare: Move[] = [];
    const ferry: Move[] = [];
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await bareMove(stage));
      ferry.push(await ferryMove(stage));
    }
    const [b, f] = [median(bare), median(ferry)];
    console.log(`1 GiB of data under a writing guest, over NBD on loopback; median of ${rounds}, in turns`);
    console.log(
      `bare virsh blockcopy   ${b.seconds.toFixed(2)} s                   longest write ${b.stallMs.toFixed(0)} ms`,
    );
    console.log(
      `ferry, mirror + pivot  ${f.mirrorSeconds.toFixed(2)} s = ${(f.mirrorSeconds / b.seconds).toFixed(2)} x bare     longest write ${f.stallMs.toFixed(0)} ms`,
    );
    console.log(
      `ferry, the whole       ${f.seconds.toFixed(2)} s; around the mirror ${(f.seconds - f.mirrorSeconds).toFixed(2)} s`,
    );
  } finally {
    await stage.strike();
  }
}

async function bareMove({ hypervisor, guest }: AttachedStage): Promise<Move> {
  const volume = await hypervisor.volume({ sizeMib });
  const device = await guest.attach(volume);
  const file = join(hypervisor.libvirt.folder, 'bare.xml');
  await writeFile(file, destinationXml(volume.destination.source));
  const started = performance.now();
  const copy = ['blockcopy', '--domain', guest.name, '--path', device, '--xml', file];
  const how = ['--reuse-external', '--transient-job', '--wait', '--pivot'];
  await execa('virsh', ['--connect', hypervisor.libvirt.uri, ...copy, ...how], { env: { LC_ALL: 'C' } });
  const seconds = (performance.now() - started) / 1000;
  await guest.console.progress(device, 20);
  const { longestStallMs } = await guest.console.disk(device);
  // The definition still names the source, as after every bare blockcopy: the disk is taken out by its name.
  await hypervisor.virsh('detach-disk', '--domain', guest.name, '--target', device, '--live', '--config');
  await guest.console.gone(device);
  await volume.source.kill();
  await volume.destination.kill();
  return { seconds, mirrorSeconds: seconds, stallMs: longestStallMs };
}

async function ferryMove(stage: AttachedStage): Promise<Move> {
  const { id } = await stage.ferry<{ id: string }>('create', '--size', '1', '--host', server1);
  await fillImage(await stage.imageOf(id));
  const { device } = await stage.ferry<{ device: string }>('attach', id, stage.guest.name, 'hv1');
  await stage.guest.console.progress(device, 5);
  const started = performance.now();
  const handle = await stage.migrate(id);
  await handle.result();
  const seconds = (performance.now() - started) / 1000;
  await stage.guest.console.progress(device, 20);
  const { longestStallMs } = await stage.guest.console.disk(device);
  const mirrorSeconds = await mirrorTime(handle);
  await stage.ferry('detach', id);
  await stage.guest.console.gone(device);
  await stage.ferry('delete', id);
  return { seconds, mirrorSeconds, stallMs: longestStallMs };
}

/** From the start of the first mirrorDisk to the end of the last pivotDisk, by the history. Seconds. */
async function mirrorTime(handle: WorkflowHandle): Promise<number> {
  const { events } = await handle.fetchHistory();
  const types = new Map<string, string>();
  let from = Infinity;
  let to = 0;
  for (const event of events ?? []) {
    const at = Number(event.eventTime?.seconds ?? 0) + (event.eventTime?.nanos ?? 0) / 1e9;
    const type = event.activityTaskScheduledEventAttributes?.activityType?.name;
    if (type) types.set(String(event.eventId), type);
    const started = event.activityTaskStartedEventAttributes?.scheduledEventId;
    const completed = event.activityTaskCompletedEventAttributes?.scheduledEventId;
    if (started && types.get(String(started)) === 'mirrorDisk') from = Math.min(from, at);
    if (completed && types.get(String(completed)) === 'pivotDisk') to = Math.max(to, at);
  }
  return to - from;
}

function median(moves: readonly Move[]): Move {
  return moves.toSorted((a, b) => a.mirrorSeconds - b.mirrorSeconds)[Math.floor(moves.length / 2)]!;
}

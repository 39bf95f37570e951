import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { destinationXml } from '../activities/compute/disk-xml.ts';
import { fillImage } from '../testbed/guest/records.ts';
import { AttachedStage } from '../test/end-to-end/attached-stage.ts';
import { server1 } from '../test/end-to-end/stage.ts';
import type { BenchOptions } from './run.ts';
import { DiskWatch } from './disk-watch.ts';

/** When what happened. Milliseconds since the epoch. */
interface Times {
  readonly asked: number;
  readonly mirrorBegan: number;
  readonly pivotBegan: number;
  readonly pivoted: number;
  readonly ended: number;
}

interface Move {
  /** All of it, as its caller sees it. */
  readonly seconds: number;
  /** From the mirror's start to the guest's turn. */
  readonly mirrorSeconds: number;
  /** Of it: both sides were compared. */
  readonly comparedSeconds: number;
  /** The longest that a write of the guest took: when the mirror began, until the guest was turned, and then. Milliseconds. */
  readonly begin: number;
  readonly during: number;
  readonly pivot: number;
}

const sizeMib = 1024;

/** The guest tells once a second how long its slowest write took: what happened in a moment is told within so long. Milliseconds. */
const toldWithin = 1_500;

/**
 * 1 GiB under a guest that writes all the time: moved by Ferry, with and without the comparison of both sides, and by a bare `virsh blockcopy`
 * and pivot over the same kind of export, in turns. What Ferry does around the mirror is printed apart: it does not grow with the volume.
 */
export async function run({ rounds }: BenchOptions): Promise<void> {
  const stage = await AttachedStage.set();
  try {
    const moves = { bare: [] as Move[], unproven: [] as Move[], proven: [] as Move[] };
    for (let round = 0; round < rounds; round += 1) {
      moves.bare.push(await bareMove(stage));
      moves.unproven.push(await ferryMove(stage, 'none'));
      moves.proven.push(await ferryMove(stage, null));
    }
    const bare = medians(moves.bare);
    console.log(`1 GiB of data under a writing guest, over NBD on loopback; medians of ${rounds}, in turns`);
    console.log(
      '                        all     mirror + pivot          compared   longest write: begin, during, pivot',
    );
    for (const [name, some] of [
      ['bare virsh blockcopy  ', moves.bare],
      ['ferry --verify none   ', moves.unproven],
      ['ferry, both compared  ', moves.proven],
    ] as const) {
      const m = medians(some);
      const ratio = `${(m.mirrorSeconds / bare.mirrorSeconds).toFixed(2)} x bare`;
      const seconds = [m.seconds, m.mirrorSeconds, m.comparedSeconds].map((each) => `${each.toFixed(2)} s`.padStart(8));
      const stalls = [m.begin, m.during, m.pivot].map((each) => `${each.toFixed(0)} ms`.padStart(8)).join('');
      console.log(`${name}${seconds[0]}  ${seconds[1]} = ${ratio}  ${seconds[2]}  ${stalls}`);
    }
  } finally {
    await stage.strike();
  }
}

function measured(times: Times, watch: DiskWatch, comparedSeconds = 0): Move {
  const { asked, mirrorBegan, pivotBegan, pivoted, ended } = times;
  const begun = mirrorBegan + toldWithin;
  return {
    seconds: (ended - asked) / 1000,
    mirrorSeconds: (pivoted - mirrorBegan) / 1000,
    comparedSeconds,
    begin: watch.longest(mirrorBegan, Math.min(begun, pivotBegan)),
    during: watch.longest(begun, pivotBegan),
    pivot: watch.longest(pivotBegan, pivoted + toldWithin),
  };
}

async function bareMove({ hypervisor, guest }: AttachedStage): Promise<Move> {
  const volume = await hypervisor.volume({ sizeMib });
  const device = await guest.attach(volume);
  const file = join(hypervisor.libvirt.folder, 'bare.xml');
  await writeFile(file, destinationXml(volume.destination.source));
  const at = ['--domain', guest.name, '--path', device] as const;
  const watch = await DiskWatch.start(guest.console, device);
  const asked = Date.now();
  await hypervisor.virsh('blockcopy', ...at, '--xml', file, '--reuse-external', '--transient-job');
  while (!(await hypervisor.virsh('dumpxml', guest.name)).includes("ready='yes'")) await sleep(100);
  const pivotBegan = Date.now();
  await hypervisor.virsh('blockjob', ...at, '--pivot');
  const pivoted = Date.now();
  await sleep(toldWithin);
  await watch.stop();
  // The definition still names the source, as after every bare blockcopy: the disk is taken out by its name.
  await hypervisor.virsh('detach-disk', '--domain', guest.name, '--target', device, '--live', '--config');
  await guest.console.gone(device);
  await volume.source.kill();
  await volume.destination.kill();
  return measured({ asked, mirrorBegan: asked, pivotBegan, pivoted, ended: pivoted }, watch);
}

async function ferryMove(stage: AttachedStage, verify: 'none' | null): Promise<Move> {
  const { id } = await stage.ferry<{ id: string }>('create', '--size', '1', '--host', server1);
  await fillImage(await stage.imageOf(id));
  const { device } = await stage.ferry<{ device: string }>('attach', id, stage.guest.name, 'hv1');
  await stage.guest.console.progress(device, 5);
  const watch = await DiskWatch.start(stage.guest.console, device);
  const asked = Date.now();
  const handle = await stage.migrate(id, { verify });
  await handle.result();
  const ended = Date.now();
  await sleep(toldWithin);
  await watch.stop();
  const [mirror, pivot, compared] = await Promise.all(
    ['mirrorDisk', 'pivotDisk', 'compareVolume'].map((step) => timeOf(handle, step)),
  );
  await stage.ferry('detach', id);
  await stage.guest.console.gone(device);
  await stage.ferry('delete', id);
  const times = { asked, mirrorBegan: mirror!.from, pivotBegan: pivot!.from, pivoted: pivot!.to, ended };
  return measured(times, watch, compared!.to === 0 ? 0 : (compared!.to - compared!.from) / 1000);
}

/** From the start of the first step of that kind to the end of the last, by the history; 0 without one. Milliseconds since the epoch. */
async function timeOf(handle: WorkflowHandle, step: string): Promise<{ from: number; to: number }> {
  const { events } = await handle.fetchHistory();
  const types = new Map<string, string>();
  let from = Infinity;
  let to = 0;
  for (const event of events ?? []) {
    const at = Number(event.eventTime?.seconds ?? 0) * 1000 + (event.eventTime?.nanos ?? 0) / 1e6;
    const type = event.activityTaskScheduledEventAttributes?.activityType?.name;
    if (type) types.set(String(event.eventId), type);
    const started = event.activityTaskStartedEventAttributes?.scheduledEventId;
    const completed = event.activityTaskCompletedEventAttributes?.scheduledEventId;
    if (started && types.get(String(started)) === step) from = Math.min(from, at);
    if (completed && types.get(String(completed)) === step) to = Math.max(to, at);
  }
  return { from, to };
}

/** Each figure's own: the longest stalls are not of the slowest moves. */
function medians(moves: readonly Move[]): Move {
  const middle = (of: (move: Move) => number) => moves.map(of).toSorted((a, b) => a - b)[Math.floor(moves.length / 2)]!;
  return {
    seconds: middle((m) => m.seconds),
    mirrorSeconds: middle((m) => m.mirrorSeconds),
    comparedSeconds: middle((m) => m.comparedSeconds),
    begin: middle((m) => m.begin),
    during: middle((m) => m.during),
    pivot: middle((m) => m.pivot),
  };
}

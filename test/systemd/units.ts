import { check, comes, must } from '../../setup/story-checks.ts';
import type { Machine } from './machine.ts';

/** The process of a unit; 0: it does not run. */
export async function mainPid(machine: Machine, unit: string): Promise<number> {
  return Number(await must(machine.run(['systemctl', 'show', '--property=MainPID', '--value', unit])));
}

/** Kills the worker itself, as the kernel does that is out of memory; systemd has to start it again. */
export async function killed(machine: Machine, unit: string): Promise<void> {
  const before = await mainPid(machine, unit);
  await must(machine.run(['kill', '-KILL', String(before)]));
  const back = async () => {
    const active = (await machine.run(['systemctl', 'is-active', unit])).stdout === 'active';
    return active && (await mainPid(machine, unit)) !== before;
  };
  const log = async () => (await machine.run(['journalctl', '--unit', unit, '--no-pager', '--lines=40'])).output;
  const well = before !== 0 && (await comes(back, 120));
  check(`${machine.name}: ${unit} is killed, and systemd brings it back`, well, well ? '' : await log());
}

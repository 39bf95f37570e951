import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { copierMark } from '../../../../activities/storage/copier/device-lock.ts';

export interface CopierProcess {
  readonly pid: number;
  /** Has a job under way: it holds a listening lock or a device; a waiting one has nothing but its channel. */
  readonly busy: boolean;
}

/** The copier processes that `parent` started, as the kernel knows them. Ended ones are not counted. */
export function copierProcesses(parent: number): CopierProcess[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
        const [state, ppid] = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
        if (!argv.includes(copierMark) || Number(ppid) !== parent || state === 'Z') return [];
        return [{ pid: Number(entry), busy: opensAny(entry) }];
      } catch {
        return [];
      }
    });
}

function opensAny(pid: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) =>
    /\/(to|from)$|^\/dev\/loop/.test(readlinkSync(`/proc/${pid}/fd/${fd}`)),
  );
}

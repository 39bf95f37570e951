import { readdir, readFile } from 'node:fs/promises';

/** A `qemu-nbd` that runs on this machine. */
export interface ExportServer {
  readonly pid: number;
  readonly argv: readonly string[];
}

/** The export servers of the nodes whose files are below `folder`. */
export async function exportServers(folder: string): Promise<ExportServer[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const all = await Promise.all(
    pids.map(async (pid) => {
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return { pid, argv: commandLine.split('\0').slice(0, -1) };
    }),
  );
  return all.filter(({ argv }) => argv[0]?.endsWith('qemu-nbd') && argv.some((a) => a.includes(folder)));
}

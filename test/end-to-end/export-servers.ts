import { readdir, readFile } from 'node:fs/promises';

/** An export's server that runs on this machine. */
export interface ExportServer {
  readonly pid: number;
  readonly argv: readonly string[];
  /** Where it listens. */
  readonly port: number;
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
  const isServer = ([program, first]: readonly string[]) =>
    program?.endsWith('/qemu-nbd') || program === 'qemu-nbd' || first?.endsWith('/exports/server/reader-process.ts');
  return all
    .filter(({ argv }) => isServer(argv) && argv.some((a) => a.includes(folder)))
    .map((server) => ({ ...server, port: portOf(server.argv) }));
}

/** Each kind of server is told of it in its own way. */
function portOf(argv: readonly string[]): number {
  const told = argv.map((argument) => /^(?:--port=|--description=\S+ )(\d+)(?: |$)/.exec(argument)?.[1]).find(Boolean);
  if (told === undefined) throw new Error(`a server of no known port: ${argv.join(' ')}`);
  return Number(told);
}

import type { ExportAddress } from '../../model/connection.ts';

export type { ExportAddress };

/**
 * The NBD exports of one storage node: one server process each, which outlives the worker. What runs is asked of the system
 * every time; the state folder only says where to look.
 */
export interface Exports {
  /**
   * Exports `path` under `exportName`. Already exported so and alive: the same address again. A leftover of another path or a
   * dead server is replaced. A writable export takes one client only: the fence against two writers. `port`: that one, if nobody
   * has it, so that clients of a server that is gone find the new one.
   */
  ensure(spec: {
    exportName: string;
    path: string;
    writable: boolean;
    tags: readonly string[];
    port?: number | undefined;
  }): Promise<ExportAddress>;

  /** Ends the server and waits until its process is gone. Not there: nothing happens. */
  remove(exportName: string): Promise<void>;

  /** What is exported now. */
  list(): Promise<
    {
      exportName: string;
      path: string;
      writable: boolean;
      tags: readonly string[];
      pid: number;
      address: ExportAddress;
    }[]
  >;
}

/** Ends every export of the device but one. */
export async function endExports(exports: Exports, path: string, but: string | null = null): Promise<void> {
  const others = (await exports.list()).filter((each) => each.path === path && each.exportName !== but);
  for (const { exportName } of others) await exports.remove(exportName);
}

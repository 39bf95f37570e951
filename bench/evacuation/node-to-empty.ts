import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { MovesReport } from '../../model/evacuation.ts';
import { controlQueue, evacuationWorkflowId, operationWorkflowId } from '../../model/names.ts';
import { setDisabled } from '../../registry/back-ends.ts';
import { openRegistry, type Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { eventsOfRuns } from '../../testbed/events-of-runs.ts';
import { startSystem, type PlainSystem } from '../../testbed/system.ts';

export const [first, second] = ['server1@files-1', 'server2@files-2'] as const;

/** What an evacuation took: time, runs of its workflow, their events. */
export interface Evacuated {
  seconds: number;
  runs: number;
  events: number;
}

/** Two nodes of directories, one of which is emptied again and again. */
export class NodeToEmpty {
  readonly system: PlainSystem;
  readonly registry: Registry;
  readonly #client: Client;

  private constructor(system: PlainSystem, registry: Registry, client: Client) {
    this.system = system;
    this.registry = registry;
    this.#client = client;
  }

  /** Starts the whole of Ferry for `work`, and takes it down after it. */
  static async during(work: (node: NodeToEmpty) => Promise<void>): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'ferry-bench-'));
    const node = (name: string, group: string) => ({
      name,
      volumeGroups: [{ name: group, sizeMib: 64 * 1024 * 1024 }],
    });
    const nodes = [node('server1', 'files-1'), node('server2', 'files-2')];
    const system = await startSystem({ directory, backing: 'directory', nodes });
    const registry = await openRegistry(system.postgres.url);
    const connection = await Connection.connect({ address: system.temporal.address });
    try {
      await work(new NodeToEmpty(system, registry, new Client({ connection })));
    } finally {
      await connection.close();
      await registry.close();
      await system.stop();
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** The folder of the first node's volumes. */
  get volumes(): string {
    return join(this.system.directory, 'nodes/server1/files-1/volumes');
  }

  /** Empty volumes of 1 GiB on the first node; their ids. */
  async fill(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => randomUUID());
    for (let at = 0; at < count; at += 20) {
      await Promise.all(
        ids.slice(at, at + 20).map((volumeId) =>
          this.#client.workflow.execute('createVolume', {
            taskQueue: controlQueue,
            workflowId: operationWorkflowId('create', volumeId),
            args: [{ volumeId, tenantId: 'bench', sizeBytes: 1024 ** 3, backEnd: first }],
          }),
        ),
      );
    }
    return ids;
  }

  /** Empties a node with so many migrations at once; throws unless every volume moved. */
  async evacuate(verify: 'none' | 'reread', source: 'server1' | 'server2', atOnce: number): Promise<Evacuated> {
    const start = performance.now();
    const workflowId = evacuationWorkflowId(source);
    const limits = { total: atOnce, perSourceNode: atOnce, perDestinationNode: atOnce };
    const handle = await this.#client.workflow.start<(input: unknown) => Promise<MovesReport>>('evacuateHost', {
      taskQueue: controlQueue,
      workflowId,
      args: [{ source, verify, limits }],
    });
    const report = await handle.result();
    if (report.outcome !== 'emptied') throw new Error(`the evacuation ended with: ${report.outcome}`);
    const seconds = (performance.now() - start) / 1000;
    await setDisabled(this.registry, source, false);
    const runs = await eventsOfRuns(this.#client, workflowId, handle.firstExecutionRunId);
    return { seconds, runs: runs.length, events: runs.reduce((sum, n) => sum + n, 0) };
  }

  /** Forgets every volume. */
  async clear(): Promise<void> {
    for (const [host, node] of [
      [first, 'server1/files-1'],
      [second, 'server2/files-2'],
    ] as const) {
      await this.registry.rows(noColumns, 'DELETE FROM volumes WHERE host = $1', [host]);
      for (const folder of ['volumes', 'tags'])
        await rm(join(this.system.directory, 'nodes', node, folder), { recursive: true, force: true });
    }
  }
}

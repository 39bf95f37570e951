import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection, WithStartWorkflowOperation, type WorkflowHandle } from '@temporalio/client';
import { messages } from '../../model/messages.ts';
import type { MigrationRequestInput, MigrationState } from '../../model/migration.ts';
import { controlQueue, deviceName, migrationWorkflowId } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { seedNodes, startSystem, type PlainSystem } from '../../testbed/system.ts';

/** Ferry with nodes of plain directories: for what is said to migrations, not for what they do. */
export interface LightStage extends PlainSystem {
  readonly client: Client;
  /** A 1 GiB volume with some data, so that its copy takes as long as its cap says. */
  volume(): Promise<string>;
  /** Starts a migration; resolves when it copies. */
  moving(volumeId: string, request?: Partial<MigrationRequestInput>): Promise<WorkflowHandle>;
  /** Takes the cap off and waits for the end. */
  finish(handle: WorkflowHandle): Promise<unknown>;
  strike(): Promise<void>;
}

const mib = 1024 ** 2;

/** At this cap the data of a volume takes minutes. Bytes a second. */
const crawling = 256 * 1024;

export async function setLightStage(): Promise<LightStage> {
  const directory = await mkdtemp(join(tmpdir(), 'ferry-light-'));
  const nodes = seedNodes.map((node) => ({
    ...node,
    volumeGroups: node.volumeGroups.map((group) => ({ ...group, sizeMib: 64 * 1024 })),
  }));
  const system = await startSystem({ directory, nodes, backing: 'directory' }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true });
    throw error;
  });
  const connection = await Connection.connect({ address: system.temporal.address });
  const client = new Client({ connection });
  return {
    ...system,
    client,
    async volume() {
      const volumeId = randomUUID();
      await client.workflow.execute('createVolume', {
        taskQueue: controlQueue,
        workflowId: `create/${volumeId}`,
        args: [{ volumeId, tenantId: 'tenant-1', sizeBytes: gib, backEnd: 'server1@lvmstorage-1' }],
      });
      const path = join(directory, 'nodes/server1/lvmstorage-1/volumes', deviceName({ id: volumeId, nameId: null }));
      await using file = await open(path, 'r+');
      await file.write(randomBytes(32 * mib), 0, 32 * mib, 0);
      await file.sync();
      return volumeId;
    },
    async moving(volumeId, request = {}) {
      const startWorkflowOperation = new WithStartWorkflowOperation('migrateVolume', {
        workflowId: migrationWorkflowId(volumeId),
        workflowIdConflictPolicy: 'FAIL',
        taskQueue: controlQueue,
        args: [{ volumeId, destination: 'server2@lvmstorage-2', bandwidth: crawling, ...request }],
      });
      await client.workflow.executeUpdateWithStart(messages.awaitClaim, { startWorkflowOperation, args: [] });
      const handle = await startWorkflowOperation.workflowHandle();
      while ((await handle.query<MigrationState>(messages.migrationState)).phase !== 'copying')
        await new Promise((resolve) => setTimeout(resolve, 50));
      return handle;
    },
    async finish(handle) {
      await handle.executeUpdate(messages.setBandwidth, { args: [null] });
      return handle.result();
    },
    async strike() {
      await connection.close();
      await system.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const operations = 'test/end-to-end/operations.test.ts and operation-repair.test.ts';
const attached = 'test/end-to-end/attached.test.ts and test/workflows/attached.test.ts';
const thin = 'test/end-to-end/thin.test.ts and test/registry/migration-steps.test.ts';
const kept = 'test/end-to-end/kept-source.test.ts';
const looks = 'changes nothing';

/** The activities that no migration of a detached volume runs, and where their faults are tested. */
export const activitiesElsewhere: Readonly<Record<string, string>> = {
  ...rows(looks, ['findVolume', 'hasComputeWorker', 'attachmentsOf', 'inventory', 'listEverything', 'locateVolume']),
  ...rows(looks, ['discoverDevices', 'inspectStranger', 'probeDisk', 'inspectDisk']),
  ...rows(operations, ['beginCreate', 'finishCreate', 'failCreate', 'createDevice']),
  ...rows(operations, ['beginDelete', 'finishDelete', 'failDelete', 'deleteDevice']),
  ...rows(operations, ['beginManage', 'finishManage', 'failManage', 'adoptDevice', 'disownDevice']),
  ...rows(operations, ['beginUnmanage', 'finishUnmanage', 'failUnmanage', 'disownVolume']),
  ...rows(operations, ['beginExtend', 'finishExtend', 'failExtend', 'extendDevice']),
  ...rows(operations, ['beginAttach', 'finishAttach', 'failAttach', 'exportVolume', 'attachDisk']),
  ...rows(operations, ['beginDetach', 'finishDetach', 'failDetach', 'detachDisk']),
  ...rows(operations, ['beginSnapshot', 'finishSnapshot', 'failSnapshot', 'snapshotDevice']),
  ...rows(operations, ['beginSnapshotDelete', 'finishSnapshotDelete', 'failSnapshotDelete', 'deleteSnapshotDevice']),
  ...rows(thin, ['nameDestination']),
  ...rows(kept, ['takeDueKeptSource', 'forgetKeptSource']),
  ...rows(attached, ['exportDestination', 'mirrorDisk', 'setMirrorBandwidth', 'pauseMirror', 'pivotDisk']),
  ...rows(attached, ['abortMirror', 'resumeAfterIoError']),
};

function rows(where: string, activities: readonly string[]): Record<string, string> {
  return Object.fromEntries(activities.map((activity) => [activity, where]));
}

const operations = 'test/end-to-end/operations.test.ts and operation-repair.test.ts';
const thin = 'test/end-to-end/thin.test.ts and test/registry/migration-steps.test.ts';
const kept = 'test/end-to-end/kept-source.test.ts';
const hypervisor = 'test/activities/compute';
const unmapping =
  'test/workflows/unmapping.test.ts, test/activities/storage/copier/unmap.test.ts and test/end-to-end/thin.test.ts';
const looks = 'changes nothing';
const adopted = 'test/end-to-end/copies.test.ts and test/registry/copies.test.ts';
const copies = 'test/end-to-end/copies.test.ts and test/registry/copies.test.ts';
const behind = 'test/end-to-end/registry-behind.test.ts';
const forgotten = 'test/end-to-end/forgotten-operations.test.ts and forgotten-attach.test.ts';
const moves = 'test/end-to-end/evacuation.test.ts';
const repair = 'test/end-to-end/repair.test.ts and operation-repair.test.ts';
const told = 'test/end-to-end/notifications.test.ts and test/activities/notifications';
const lost = 'test/end-to-end/lost-destination.test.ts';

/** The activities that only migrations of attached volumes run: their rows are in attached.test.ts, which sees that they are these. */
export const attachedSteps = [
  'attachmentsOf',
  'inspectDisk',
  'exportDestination',
  'mirrorDisk',
  'pauseMirror',
  'compareVolume',
  'fenceSource',
  'beginPivot',
  'pivotDisk',
  'abortMirror',
] as const;

/** The activities that no migration of the matrix runs without a fault, and where their faults are tested. */
export const activitiesElsewhere: Readonly<Record<string, string>> = {
  ...rows(looks, [
    'findVolume',
    'hasComputeWorker',
    'isCurrentLocation',
    'inventory',
    'listEverything',
    'locateVolume',
    'checkUnused',
    'examineDisk',
    'examineHolders',
    'reasonsAgainst',
    'whereabouts',
  ]),
  ...rows(looks, ['discoverDevices', 'inspectStranger', 'probeDisk']),
  ...rows(operations, ['beginCreate', 'finishCreate', 'failCreate', 'createDevice']),
  ...rows(operations, ['beginDelete', 'finishDelete', 'failDelete', 'deleteDevice']),
  ...rows(operations, ['beginManage', 'finishManage', 'failManage', 'adoptDevice', 'disownDevice']),
  ...rows(operations, ['beginUnmanage', 'finishUnmanage', 'failUnmanage', 'disownVolume']),
  ...rows(operations, ['beginExtend', 'finishExtend', 'failExtend', 'extendDevice']),
  ...rows(operations, ['beginAttach', 'finishAttach', 'failAttach', 'exportVolume', 'attachDisk']),
  ...rows(operations, ['beginDetach', 'finishDetach', 'failDetach', 'detachDisk']),
  ...rows(operations, ['beginSnapshot', 'finishSnapshot', 'failSnapshot', 'snapshotDevice']),
  ...rows(operations, ['beginSnapshotDelete', 'finishSnapshotDelete', 'failSnapshotDelete', 'deleteSnapshotDevice']),
  ...rows(adopted, ['beginSnapshotManage', 'finishSnapshotManage', 'failSnapshotManage', 'adoptSnapshot']),
  ...rows(adopted, ['beginSnapshotUnmanage', 'finishSnapshotUnmanage', 'failSnapshotUnmanage', 'disownSnapshot']),
  ...rows(copies, ['beginRevert', 'finishRevert', 'failRevert']),
  ...rows(looks, ['hasDevice', 'lookAtDevice', 'findOrigin', 'checkOrigin', 'digestFilled']),
  ...rows(copies, ['openOrigin', 'fillDevice', 'completeDevice', 'unsettleDevice']),
  ...rows(looks, [
    'backEndsOf',
    'awaitMigration',
    'listAbandoned',
    'readAbandonedClaim',
    'listNodes',
    'factsOfLeftovers',
  ]),
  ...rows(moves, ['writeEvacuationPlan', 'writeBalancePlan', 'advancePlan', 'finishPlan']),
  ...rows(moves, ['disableBackEnds', 'decommission', 'removeSchedule']),
  ...rows(repair, ['failAbandonedOperation']),
  ...rows(forgotten, ['endAsBefore']),
  ...rows(behind, ['judgeVolumes', 'adoptFoundDevice']),
  ...rows(lost, ['reviveDevice', 'returnToSource']),
  ...rows(thin, ['nameDestination']),
  ...rows(kept, ['takeDueKeptSource', 'forgetKeptSource']),
  ...rows(unmapping, ['holdMirror', 'unmapZeros', 'endUnmapping']),
  ...rows(told, ['dueEvents', 'deliverEvent']),
  ...rows(hypervisor, ['setMirrorBandwidth', 'resumeAfterIoError']),
};

function rows(where: string, activities: readonly string[]): Record<string, string> {
  return Object.fromEntries(activities.map((activity) => [activity, where]));
}

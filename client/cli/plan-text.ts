import type { UndoPlan } from '../kept-sources.ts';
import { utc } from './volume-properties.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { MigrationPlan } from '../migrations.ts';
import { guestProof } from '../../model/migration-details.ts';

const how: Record<MigrationPlan['flow'], string> = {
  assisted: 'the storage moves it itself',
  'generic-detached': 'the destination copies it from the source',
  'generic-attached': "the instance's hypervisor mirrors it while it is in use",
  undo: 'it goes back to its kept source',
};

/** What a migration would do, or every reason why it would be refused. */
export function planText(plan: MigrationPlan): string {
  const { facts } = plan;
  const size = facts.volume?.sizeBytes ?? 0;
  if (!plan.allowed) {
    return [
      `Volume ${facts.volumeId} would not move to ${facts.destinationName}:`,
      ...plan.reasons.map((r) => `  - ${r.message}`),
    ].join('\n');
  }
  const free = Math.max(0, (facts.destination?.freeBytes ?? 0) - facts.promisedBytes);
  return [
    `Volume ${facts.volumeId} would move; nothing was done.`,
    `  from   ${facts.volume?.host}`,
    `  to     ${facts.destinationName} (${formatBytes(free)} free, ${formatBytes(free - size)} afterwards)`,
    `  bytes  ${formatBytes(size)}`,
    `  flow   ${plan.flow}: ${how[plan.flow]}`,
    ...(plan.flow === 'generic-attached' ? [`  proof  ${guestProof}; with --verify none or inline there is none`] : []),
    ...(plan.unasked ? [`  The nodes were not asked what they see: ${plan.unasked}`] : []),
  ].join('\n');
}

/** What an undo would do, or every reason why it would be refused. */
export function undoText({ allowed, facts, reasons }: UndoPlan): string {
  if (!allowed) {
    return [
      `The last migration of volume ${facts.volumeId} would not be undone:`,
      ...reasons.map((r) => `  - ${r.message}`),
    ].join('\n');
  }
  const kept = facts.kept!;
  return [
    `Volume ${facts.volumeId} would go back if it has not been written since; nothing was done.`,
    `  from   ${facts.volume?.host}`,
    `  to     ${kept.backEnd} (kept until ${utc(kept.keptUntil)})`,
    `  bytes  ${formatBytes(kept.sizeBytes)}, read on both sides and compared; none is copied`,
    `  flow   undo: ${how.undo}`,
  ].join('\n');
}

import { formatBytes, gib } from '../../model/sizes.ts';
import type { MigrationPlan } from '../migrations.ts';

const how: Record<MigrationPlan['flow'], string> = {
  assisted: 'the storage moves it itself',
  'generic-detached': 'the destination copies it from the source',
  'generic-attached': "the instance's hypervisor mirrors it while it is in use",
};

/** What a migration would do, or every reason why it would be refused. */
export function planText(plan: MigrationPlan): string {
  const { facts } = plan;
  const size = (facts.volume?.sizeGib ?? 0) * gib;
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
  ].join('\n');
}

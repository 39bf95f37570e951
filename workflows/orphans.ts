import type { LeftoverFacts } from '../activities/repair/create-repair-activities.ts';
import type { LeftoverDevice, LeftoverExport } from '../activities/storage/inventory.ts';
import { deviceName } from '../model/names.ts';
import type { Orphan } from '../model/repair.ts';
import type { CleanUpStep } from './clean-up-steps.ts';

/** Something that belongs to nobody, and the step that takes it away; null when a machine must not decide that. */
export interface JudgedOrphan {
  orphan: Orphan;
  step: CleanUpStep | null;
  /** Its grace time was over when the registry was asked, by the registry's clock. */
  isDue: boolean;
}

type Judgement = { why: string; step: CleanUpStep | null; since: string | null; kind?: Orphan['kind'] };

/**
 * Who owns a device with Ferry's tags? Null: a migration, its clean-up or a volume does. Only what the registry knows to be a mere copy,
 * or a place that its volume has left for good, may be removed; where the registry does not know, people decide.
 */
export function judgeDevice(device: LeftoverDevice, facts: LeftoverFacts): JudgedOrphan | null {
  if (isKept(device, facts)) return null;
  const judgement =
    device.migrationId !== null
      ? judgeMade(device, device.migrationId, facts)
      : device.current
        ? judgeReturned(device, facts)
        : judgeLeft(device, facts);
  return judgement && withGrace(device, judgement, facts);
}

/** The registry keeps it, or sees to its removal. */
function isKept({ backEnd, name }: LeftoverDevice, { kept = [] }: LeftoverFacts): boolean {
  return kept.some((k) => k.backEnd === backEnd && k.deviceName === name);
}

/** A volume is on it again that had left it: the tag of a kept source is all that is too much. */
function judgeReturned(device: LeftoverDevice, facts: LeftoverFacts): Judgement | null {
  const { keptBy } = device;
  const volume = facts.volumes.find((v) => v.id === device.volumeId);
  if (!volume || volume.held) return null;
  if (!keptBy) return device.heldBy ? judgeHeld(device, device.heldBy, facts) : null;
  const step = settling(device, volume, keptBy, { keptBy });
  const since = facts.migrations.find((m) => m.id === keptBy)?.finishedAt ?? null;
  return { kind: 'tag', why: 'it holds a volume, and is not only kept', step, since };
}

/** A migration has kept others from writing to it, and is over. */
function judgeHeld({ backEnd, name }: LeftoverDevice, migrationId: string, facts: LeftoverFacts): Judgement | null {
  const migration = facts.migrations.find((m) => m.id === migrationId);
  if (migration?.outcome === null || facts.beingCleanedUp.includes(migrationId)) return null;
  const step: CleanUpStep = { kind: 'releaseSource', backEnd, deviceName: name, migrationId };
  return {
    kind: 'tag',
    why: 'it holds a volume, and is read-only for a migration that is over',
    step,
    since: migration?.finishedAt ?? null,
  };
}

/** Made by a migration, whose tag it still has. */
function judgeMade(device: LeftoverDevice, migrationId: string, facts: LeftoverFacts): Judgement | null {
  const { backEnd, name } = device;
  const migration = facts.migrations.find((m) => m.id === migrationId);
  if (!migration) return unknown('its migration is not in the registry');
  if (migration.outcome === null || facts.beingCleanedUp.includes(migrationId)) return null;
  if (device.current) {
    const volume = facts.volumes.find((v) => v.id === device.volumeId);
    if (!volume) return unknown('its volume is not in the registry');
    const step = settling(device, volume, migrationId);
    return { kind: 'tag', why: 'it holds a volume, and its migration is over', step, since: migration.finishedAt };
  }
  if (migration.outcome === 'success') return unknown('its migration succeeded, but the volume is elsewhere by now');
  const step: CleanUpStep = { kind: 'deleteDestination', backEnd, deviceName: name, migrationId };
  return { why: `its migration ended with ${migration.outcome}`, step, since: migration.finishedAt };
}

/** It says that it holds the volume, as the registry does. */
function settling(
  { backEnd, name, witness }: LeftoverDevice,
  { id: volumeId, generation, deviceIdentity, sizeBytes }: LeftoverFacts['volumes'][number],
  migrationId: string,
  kept: { keptBy?: string } = {},
): CleanUpStep {
  const identity = deviceIdentity ?? witness.identity;
  const device = { backEnd, deviceName: name, identity, volumeId, generation, sizeBytes };
  return { kind: 'settleDestination', ...device, migrationId, ...kept };
}

/** A volume's device where the registry has no volume. */
function judgeLeft(device: LeftoverDevice, facts: LeftoverFacts): Judgement | null {
  const { backEnd, name, volumeId } = device;
  const volume = facts.volumes.find((v) => v.id === volumeId);
  if (volumeId === null || !volume) return unknown('its volume is not in the registry');
  if (volume.held) return null;
  const left = facts.migrations.find(
    (m) =>
      m.volumeId === volumeId &&
      m.outcome === 'success' &&
      m.source === backEnd &&
      deviceName({ id: volumeId, nameId: m.sourceNameId }) === name,
  );
  if (!left) return unknown(`its volume is on ${volume.host}, and no migration is known to have left it here`);
  if (facts.beingCleanedUp.includes(left.id)) return null;
  const step: CleanUpStep = {
    kind: 'retireSource',
    backEnd,
    deviceName: name,
    volumeId,
    exportName: `migration-${left.id}`,
    migrationId: left.id,
    identity: device.witness.identity,
  };
  return { why: `migration ${left.id} moved its volume away`, step, since: left.finishedAt };
}

/** Who owns an export that a migration made? An attached volume's is left alone whatever its tag: a guest may write through it. */
export function judgeExport(found: LeftoverExport, facts: LeftoverFacts): JudgedOrphan | null {
  const migration = facts.migrations.find((m) => m.id === found.migrationId);
  const subject = { ...found, volumeId: migration?.volumeId ?? null };
  if (!migration)
    return withGrace(subject, { kind: 'export', ...unknown('its migration is not in the registry') }, facts);
  if (migration.outcome === null || facts.beingCleanedUp.includes(migration.id)) return null;
  const attached = facts.volumes.some(
    (v) => v.attached && v.host === found.backEnd && deviceName(v) === found.deviceName,
  );
  if (attached) return null;
  const step: CleanUpStep = { kind: 'removeExport', backEnd: found.backEnd, exportName: found.name };
  return withGrace(
    subject,
    { kind: 'export', why: `its migration ended with ${migration.outcome}`, step, since: migration.finishedAt },
    facts,
  );
}

function unknown(why: string): Judgement {
  return { why: `${why}; look at it, and remove it by hand if it is not needed`, step: null, since: null };
}

function withGrace(
  found: { backEnd: string; name: string; volumeId: string | null; migrationId: string | null },
  { kind = 'device', why, step, since }: Judgement,
  { orphanGraceSeconds, now }: LeftoverFacts,
): JudgedOrphan {
  const { backEnd, name, volumeId, migrationId } = found;
  const removableFrom = step && since ? new Date(Date.parse(since) + orphanGraceSeconds * 1000).toISOString() : null;
  return {
    orphan: { kind, backEnd, name, volumeId, migrationId, why, removableFrom, removed: false },
    step: removableFrom ? step : null,
    isDue: removableFrom !== null && now !== undefined && Date.parse(removableFrom) <= Date.parse(now),
  };
}

import * as z from 'zod';
import { deviceName } from '../../model/names.ts';
import { judgeVolume, type RegistryWord, type Witness } from '../../model/judge-volume.ts';
import { deviceWitness, type Discrepancy, type FoundDevice, type VolumeRepair } from '../../model/repair.ts';
import { recordDiscrepancies } from '../../registry/discrepancies.ts';
import { movesOf, volumeUses } from '../../registry/leftovers.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { forgottenAmong } from '../../registry/operations.ts';
import type { Inventory } from '../storage/inventory.ts';

/** What is to be done about a volume, and the device whose word would be taken. */
export interface JudgedVolume {
  told: VolumeRepair;
  found: FoundDevice | null;
}

/** What all nodes that answered have found. */
export interface Found extends Pick<Inventory, 'backEnds' | 'devices' | 'mismatches'> {
  unseen: string[];
}

/**
 * Judges every volume of which the registry and the devices may not agree, and writes down what does not fit: the volumes are not moved
 * and nothing is cleaned up on those back ends until it does.
 */
export async function judgeVolumes(registry: Registry, found: Found): Promise<JudgedVolume[]> {
  const witnesses = new Map<string, Witness[]>();
  const add = (volumeId: string, witness: Witness) =>
    witnesses.set(volumeId, [...(witnesses.get(volumeId) ?? []), witness]);
  for (const { backEnd, name, volumeId, witness, written } of found.devices)
    if (volumeId !== null && z.uuid().safeParse(volumeId).success)
      add(volumeId, { ...witness, backEnd, deviceName: name, written });
  for (const { volumeId } of found.mismatches) if (!witnesses.has(volumeId)) witnesses.set(volumeId, []);
  for (const { backEnd, name, volumeId, witness } of found.mismatches) {
    const known = witnesses.get(volumeId)!.some((each) => each.backEnd === backEnd && each.deviceName === name);
    if (witness && !known) add(volumeId, { ...witness, backEnd, deviceName: name, written: null });
  }
  const ids = [...witnesses.keys()];
  const rows = new Map((await volumeUses(registry, ids)).map((row) => [row.id, row]));
  const deleted = await forgottenAmong(registry, ids);
  const moves = Map.groupBy(await movesOf(registry, ids), ({ volumeId }) => volumeId);
  const mismatched = new Set(found.mismatches.map(({ volumeId }) => volumeId));
  const judged = ids.flatMap((volumeId): JudgedVolume[] => {
    const row = rows.get(volumeId);
    const word: RegistryWord | null = row
      ? {
          backEnd: row.host,
          deviceName: deviceName(row),
          identity: row.deviceIdentity,
          generation: row.generation,
          sizeBytes: row.sizeBytes,
          isHeld: row.held,
          isAttached: row.attached,
        }
      : null;
    const devices = [...witnesses.get(volumeId)!];
    // The registry's own device is told of only when it does not fit: else it is there as it must be.
    if (
      word &&
      !mismatched.has(volumeId) &&
      !devices.some((d) => d.backEnd === word.backEnd && d.deviceName === word.deviceName)
    )
      devices.push(asRegistered(word));
    const judgement = judgeVolume({
      volumeId,
      registry: word,
      isDeleted: !row && deleted.has(volumeId),
      unknownWriter: found.mismatches.find((m) => m.volumeId === volumeId && m.isWritten)?.why ?? null,
      devices,
      moves: moves.get(volumeId) ?? [],
      unseen:
        word && !found.backEnds.includes(word.backEnd) ? [...new Set([...found.unseen, word.backEnd])] : found.unseen,
    });
    if (!judgement) return [];
    const newest = devices.find((d) => d.backEnd === judgement.to?.backEnd && d.deviceName === judgement.to.deviceName);
    const told: VolumeRepair = {
      volumeId,
      registry: word && { backEnd: word.backEnd, deviceName: word.deviceName, generation: word.generation },
      devices: devices.map(({ backEnd, deviceName: name, role, generation }) => ({
        backEnd,
        deviceName: name,
        role,
        generation,
      })),
      ...judgement,
      state: 'none',
      note: null,
    };
    return [{ told, found: newest ? { ...newest, volumeId } : null }];
  });
  await recordDiscrepancies(registry, { backEnds: found.backEnds, found: discrepanciesOf(judged, witnesses, found) });
  return judged;
}

function asRegistered({ backEnd, deviceName: name, identity, generation, sizeBytes }: RegistryWord): Witness {
  return {
    backEnd,
    deviceName: name,
    identity: identity ?? '',
    generation,
    sizeBytes,
    role: 'live',
    migrationId: null,
    keptBy: null,
    retiredBy: null,
    tenantId: null,
    name: null,
    volumeType: null,
    written: null,
  };
}

/** One for each device of a volume that does not fit, and for the place where the registry has it. */
function discrepanciesOf(
  judged: readonly JudgedVolume[],
  witnesses: ReadonlyMap<string, readonly Witness[]>,
  { backEnds }: Found,
): Omit<Discrepancy, 'foundAt'>[] {
  const byPlace = new Map<string, Omit<Discrepancy, 'foundAt'>>();
  for (const { told } of judged) {
    const { volumeId, why, registry } = told;
    const places = [
      ...(registry ? [{ backEnd: registry.backEnd, deviceName: registry.deviceName, device: null }] : []),
      ...(witnesses.get(volumeId) ?? []).map((witness) => ({
        backEnd: witness.backEnd,
        deviceName: witness.deviceName,
        device: deviceWitness.parse(witness),
      })),
    ];
    for (const place of places)
      if (backEnds.includes(place.backEnd))
        byPlace.set(`${place.backEnd}/${place.deviceName}`, { ...place, volumeId, why });
  }
  return [...byPlace.values()];
}

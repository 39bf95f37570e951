import type { ExportAddress } from './connection.ts';
import type { DeviceWitness, VolumeRepair } from './repair.ts';
import { sizeText, sizeWords } from './sizes.ts';
import { sizeObstacle } from './unmanaged-device.ts';

/** A device of the volume, and what it says of itself. */
export interface Witness extends DeviceWitness {
  backEnd: string;
  deviceName: string;
  /** The export through which somebody may write to it. */
  written: ExportAddress | null;
}

/** What the registry has of the volume. */
export interface RegistryWord {
  backEnd: string;
  deviceName: string;
  identity: string | null;
  generation: number;
  sizeBytes: number;
  isHeld: boolean;
  /** Somebody has been given the device that it is on. */
  isAttached: boolean;
}

/** All that is known of a volume of which the registry and the devices may not agree. */
export interface VolumeFacts {
  volumeId: string;
  /** Null: it has no row. */
  registry: RegistryWord | null;
  /** It has no row because it was deleted or unmanaged; that is on record. */
  isDeleted: boolean;
  devices: readonly Witness[];
  /** By which migrations on record the volume left which back end for which. */
  moves: readonly { epoch: number; source: string; destination: string }[];
  /** Who may write to the registry's own device although no attachment is known, in words; null: nobody. */
  unknownWriter: string | null;
  /** Nodes and back ends that did not answer: a newer device may be there. */
  unseen: readonly string[];
}

type Judgement = Pick<VolumeRepair, 'direction' | 'to' | 'why'>;

/**
 * What is to be done when the registry and the devices do not agree; null when they do, or when what is there is an ordinary leftover. The
 * registry takes the devices' word where it is unambiguous: one live device of the highest generation, and everybody has answered.
 */
export function judgeVolume(f: VolumeFacts): Judgement | null {
  if (f.registry?.isHeld || f.isDeleted) return null;
  const live = f.devices.filter(({ role }) => role === 'live');
  const highest = Math.max(...live.map(({ generation }) => generation));
  const [newest, ...equals] = live.filter(({ generation }) => generation === highest);
  const ask = (why: string): Judgement => ({ direction: 'ask', to: null, why });
  if (newest && f.registry && isRegistrys(newest, f.registry) && equals.length === 0) {
    if (f.unknownWriter !== null) return ask(`${f.unknownWriter}; stop the guest that uses it, then end that process`);
    const stranger = live.find((device) => device !== newest && !isLeft(device, f));
    if (stranger) return ask(unexplained(stranger));
    return judgeSize(f, newest, f.registry);
  }
  if (!newest) {
    if (!f.registry) return f.devices.some(({ role }) => role !== 'incoming') ? ask(noneLive(f)) : null;
    return ask(noneLive(f));
  }
  if (equals.length > 0)
    return ask(`${equals.length + 1} devices say that they hold it, of the same generation ${highest}`);
  // The registry's own device is older than the registry: so is whatever else there is.
  if (f.registry && newest.generation < f.registry.generation)
    return ask(
      `the registry knows of generation ${f.registry.generation}, the newest device is only of ${newest.generation}`,
    );
  if (f.unseen.length > 0)
    return ask(`${f.unseen.join(', ')} did not answer, and may have a newer one; look again when all do`);
  const given = f.registry?.isAttached ? live.find((device) => isRegistrys(device, f.registry!)) : undefined;
  if (given && newest.written === null)
    return ask(
      `${newest.deviceName} on ${newest.backEnd} is newer (generation ${highest}), but it is attached as ${given.deviceName} on ${given.backEnd}, and nobody has the newer one; whoever has it may write to the older: detach it, look at both, then: ferry repair --volume ${f.volumeId} --device …`,
    );
  const obstacle = sizeObstacle(newest.sizeBytes);
  if (obstacle !== null) return ask(`${newest.deviceName} on ${newest.backEnd}: ${obstacle}`);
  const to = { backEnd: newest.backEnd, deviceName: newest.deviceName, generation: newest.generation };
  if (!f.registry && newest.tenantId === null)
    return {
      ...ask('its device does not say whose volume it is; make it known: ferry manage … --tenant <tenant>'),
      to,
    };
  return {
    direction: 'adopt',
    to,
    why: f.registry
      ? `its live device of the highest generation (${newest.generation}) is elsewhere; the registry is behind (${f.registry.generation})`
      : 'the registry has lost the volume',
  };
}

/**
 * A migration on record has left it, and its clean-up is still to come. What became live after all that are known of may hold what was
 * written since, whatever its generation: a registry that went back in time gives the same generations again.
 */
function isLeft({ backEnd, generation }: Witness, { moves, registry }: VolumeFacts): boolean {
  // By a device's word, or an operator's, who knew of what there was.
  if (!moves.some(({ epoch }) => epoch === registry?.generation)) return true;
  return moves.some(
    ({ epoch, source, destination }) =>
      (backEnd === source && generation < epoch) || (backEnd === destination && generation <= epoch),
  );
}

function unexplained({ backEnd, deviceName, generation }: Witness): string {
  return `${deviceName} on ${backEnd} says too that it holds it (generation ${generation}), and no migration is known that left it there; look at both, then: ferry repair --volume … --device …, or remove the other one by hand`;
}

/** Of the device that holds the volume as the registry says. A larger one: the registry has lost the end of an extension. */
function judgeSize(f: VolumeFacts, device: Witness, registry: RegistryWord): Judgement | null {
  const [found, known] = [device.sizeBytes, registry.sizeBytes];
  const ask = (why: string): Judgement => ({ direction: 'ask', to: null, why });
  if (found === known) return null;
  if (found < known) return ask(`its device has only ${sizeWords(found)} of ${sizeWords(known)}`);
  const grown = `its device has ${sizeWords(found)}, the registry says ${sizeWords(known)}`;
  if (device.isUnzeroed)
    return ask(`${grown}; the new bytes are not zeroed yet: ferry extend ${f.volumeId} ${sizeText(found)}`);
  if (f.unseen.length > 0) return ask(`${grown}; ${f.unseen.join(', ')} did not answer: look again when all do`);
  const obstacle = sizeObstacle(found);
  if (obstacle !== null) return ask(`${grown}; ${obstacle}`);
  const { backEnd, deviceName, generation } = device;
  return { direction: 'adopt', to: { backEnd, deviceName, generation }, why: grown };
}

function isRegistrys(device: Witness, registry: RegistryWord): boolean {
  return (
    device.backEnd === registry.backEnd &&
    device.deviceName === registry.deviceName &&
    device.generation === registry.generation &&
    (registry.identity === null || device.identity === registry.identity)
  );
}

function noneLive({ devices, unseen }: VolumeFacts): string {
  const left = devices.map(({ backEnd, deviceName, role }) => `${deviceName} on ${backEnd} is ${role}`);
  const found = left.length > 0 ? `no device says that it holds it (${left.join('; ')})` : 'its device is nowhere';
  return unseen.length > 0 ? `${found}; ${unseen.join(', ')} did not answer` : found;
}

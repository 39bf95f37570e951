import * as z from 'zod';
import { deviceRoles } from '../../model/device.ts';
import { backEndName, instanceId, nodeName, tenantId, volumeId } from '../../model/ids.ts';
import { label } from '../../model/text.ts';
import {
  devicePlace,
  exportAddress,
  exportName,
  fileName,
  generation,
  identity,
  input,
  owner,
  reason,
} from './fields.ts';

/** A list whose bad items are left out: what is odd about one device must not keep all others from being looked at. */
function goodOnes<T extends z.ZodType>(item: T) {
  return z.array(z.unknown()).transform((items) =>
    items.flatMap((each): z.output<T>[] => {
      const parsed = item.safeParse(each);
      return parsed.success ? [parsed.data] : [];
    }),
  );
}

const claim = input({ volumeId, migrationId: z.uuid(), owner, epoch: z.number().int().nonnegative() });
const size = z.number().int().nonnegative();
const text = label.nullable();

const witness = input({
  identity,
  sizeBytes: size,
  role: z.enum(deviceRoles),
  generation,
  migrationId: z.uuid().nullable(),
  keptBy: z.uuid().nullable(),
  retiredBy: z.uuid().nullable(),
  tenantId: text,
  name: text,
  volumeType: text,
});

const written = input({ ...exportAddress, exportName }).nullable();

const foundDevice = input({
  backEnd: backEndName,
  name: fileName,
  volumeId: volumeId.nullable(),
  migrationId: z.uuid().nullable(),
  keptBy: z.uuid().nullable(),
  heldBy: z.uuid().nullable().exactOptional(),
  witness,
  current: z.boolean(),
  written,
});

const mismatch = input({
  backEnd: backEndName,
  name: fileName,
  volumeId,
  why: z.string(),
  witness: witness.nullable(),
  isWritten: z.boolean(),
});

const heldOperation = input({
  volumeId,
  operation: label,
  owner,
  since: z.string(),
  host: backEndName,
  attachmentId: z.uuid().nullable(),
  instanceId: instanceId.nullable(),
  computeHost: nodeName.nullable(),
  hasComputeWorker: z.boolean(),
  nameId: z.uuid().nullable().optional(),
  snapshotId: z.uuid().nullable().optional(),
});

/** What the activities of repair take. */
export const repairInputs = {
  listAbandoned: input({ volumeId: volumeId.optional() }),
  readAbandonedClaim: input({ claim }),
  failAbandonedOperation: input({ held: heldOperation, reason, untouched: z.boolean().optional() }),
  endAsBefore: input({ held: heldOperation }),
  judgeVolumes: input({
    backEnds: goodOnes(backEndName),
    devices: goodOnes(foundDevice),
    mismatches: goodOnes(mismatch),
    unseen: z.array(z.string()),
  }),
  adoptFoundDevice: input({
    volumeId,
    backEnd: backEndName,
    deviceName: fileName,
    identity,
    generation,
    sizeBytes: size,
    tenantId: tenantId.nullable(),
    name: text,
    volumeType: text,
    written,
    place: devicePlace.exactOptional(),
  }),
  listNodes: z.unknown(),
  factsOfLeftovers: input({ migrationIds: goodOnes(z.uuid()), volumeIds: goodOnes(volumeId) }),
};

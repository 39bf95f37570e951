import * as z from 'zod';
import { label } from '../model/text.ts';
import { capabilities, capabilityKey, volumeTypeName, type VolumeType } from '../model/volume-type.ts';
import {
  changeVolumeType,
  createVolumeType,
  deleteVolumeType,
  findVolumeType,
  listVolumeTypes,
} from '../registry/volume-types.ts';
import type { Context } from './context.ts';
import { isAdmin, requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

export const newVolumeType = z.object({
  name: volumeTypeName,
  description: label.nullable().default(null),
  extraSpecs: capabilities.default({}),
});

const typeChange = z.object({
  set: capabilities.default({}),
  unset: z.array(capabilityKey).default([]),
  description: label.nullable().optional(),
});

/** A type as the caller may see it: what it asks of back ends is the administrator's. */
export type VisibleVolumeType = Omit<VolumeType, 'extraSpecs'> & Partial<Pick<VolumeType, 'extraSpecs'>>;

/** What volumes can be asked to be. Types are named by name or id. */
export function volumeTypeCommands({ registry, identity }: Context) {
  const visible = ({ extraSpecs, ...rest }: VolumeType): VisibleVolumeType =>
    isAdmin(identity) ? { ...rest, extraSpecs } : rest;
  return {
    /** All types, by name. */
    async listVolumeTypes(): Promise<VisibleVolumeType[]> {
      return (await listVolumeTypes(registry)).map(visible);
    },

    /** `VolumeTypeNotFound` if there is none. */
    async findVolumeType(nameOrId: string): Promise<VisibleVolumeType> {
      return visible(await findVolumeType(registry, nameOrId));
    },

    /** `VolumeTypeExists` if there is one of that name. */
    async createVolumeType(input: z.input<typeof newVolumeType>): Promise<VolumeType> {
      requireAdmin(identity, 'make volume types');
      return createVolumeType(registry, parseInput(newVolumeType, input));
    },

    /** What is left out stays. `VolumeTypeInUse` when volumes have it and it would ask for something else. May be repeated. */
    async changeVolumeType(nameOrId: string, change: z.input<typeof typeChange>): Promise<VolumeType> {
      requireAdmin(identity, 'change volume types');
      return changeVolumeType(registry, nameOrId, parseInput(typeChange, change));
    },

    /** `VolumeTypeInUse` when volumes have it, or are being moved to it. */
    async deleteVolumeType(nameOrId: string): Promise<void> {
      requireAdmin(identity, 'delete volume types');
      await deleteVolumeType(registry, nameOrId);
    },
  };
}

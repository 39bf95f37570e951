import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { tenantId as tenantIdSchema } from '../model/ids.ts';
import { label } from '../model/text.ts';
import { extraSpecs, specKey, volumeTypeName, type VolumeType } from '../model/volume-type.ts';
import {
  changeVolumeType,
  createVolumeType,
  deleteVolumeType,
  findVolumeType,
  listVolumeTypes,
} from '../registry/volume-types.ts';
import { addTypeAccess, listTypeAccess, removeTypeAccess } from '../registry/volume-type-access.ts';
import type { Context } from './context.ts';
import { isAdmin, requireAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';

export const newVolumeType = z.object({
  name: volumeTypeName,
  description: label.nullable().default(null),
  extraSpecs: extraSpecs.default({}),
  /** Else it is for those tenants only that get access to it. */
  isPublic: z.boolean().default(true),
});

const typeChange = z.object({
  set: extraSpecs.default({}),
  unset: z.array(specKey).default([]),
  description: label.nullable().optional(),
  name: volumeTypeName.optional(),
  isPublic: z.boolean().optional(),
});

const ofTenant = z.object({ tenantId: tenantIdSchema });

/** A type as the caller may see it: what it asks of back ends is the administrator's. */
export type VisibleVolumeType = Omit<VolumeType, 'extraSpecs'> & Partial<Pick<VolumeType, 'extraSpecs'>>;

/** What volumes can be asked to be. Types are named by name or id. */
export function volumeTypeCommands({ registry, identity }: Context) {
  const visible = ({ extraSpecs: asked, ...rest }: VolumeType): VisibleVolumeType =>
    isAdmin(identity) ? { ...rest, extraSpecs: asked } : rest;
  const seen = visibleTo(identity);
  const findPrivate = async (nameOrId: string): Promise<VolumeType> => {
    const type = await findVolumeType(registry, nameOrId);
    if (!type.isPublic) return type;
    throw new FerryError('InvalidInput', `Volume type ${type.name} is public: everybody may have volumes of it.`, {
      volumeType: type.name,
    });
  };
  return {
    /** All types that the caller may have volumes of, by name. */
    async listVolumeTypes(): Promise<VisibleVolumeType[]> {
      return (await listVolumeTypes(registry, seen)).map(visible);
    },

    /** `VolumeTypeNotFound` if there is none. */
    async findVolumeType(nameOrId: string): Promise<VisibleVolumeType> {
      return visible(await findVolumeType(registry, nameOrId, seen));
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

    /** The tenants that may have volumes of a private type. `InvalidInput` for one that all may have. */
    async listTypeAccess(nameOrId: string): Promise<string[]> {
      requireAdmin(identity, 'see who has access to volume types');
      return listTypeAccess(registry, await findPrivate(nameOrId));
    },

    /** The tenant may have volumes of the private type. `AccessExists` when it could already. */
    async addTypeAccess(nameOrId: string, tenant: string): Promise<void> {
      requireAdmin(identity, 'give access to volume types');
      const { tenantId } = parseInput(ofTenant, { tenantId: tenant });
      const type = await findPrivate(nameOrId);
      if (await addTypeAccess(registry, type, tenantId)) return;
      throw new FerryError('AccessExists', `Tenant ${tenantId} has access to volume type ${type.name} already.`, {
        volumeType: type.name,
        volumeTypeId: type.id,
        tenantId,
      });
    },

    /** The tenant may have no more volumes of the private type than it has. `AccessNotFound` when it could have none. */
    async removeTypeAccess(nameOrId: string, tenant: string): Promise<void> {
      requireAdmin(identity, 'take access to volume types away');
      const { tenantId } = parseInput(ofTenant, { tenantId: tenant });
      const type = await findPrivate(nameOrId);
      if (await removeTypeAccess(registry, type, tenantId)) return;
      throw new FerryError('AccessNotFound', `Tenant ${tenantId} has no access to volume type ${type.name}.`, {
        volumeType: type.name,
        volumeTypeId: type.id,
        tenantId,
      });
    },
  };
}

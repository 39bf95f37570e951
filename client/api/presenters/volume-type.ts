import type { VisibleVolumeType } from '../../volume-types.ts';

/** A volume type as Cinder shows it. What it asks of back ends is the administrator's: tenants see `{}`. */
export function presentVolumeType(
  type: VisibleVolumeType,
  { isAdmin, withAccess = isAdmin }: { isAdmin: boolean; withAccess?: boolean },
): object {
  const { isPublic } = type;
  return {
    id: type.id,
    name: type.name,
    is_public: isPublic,
    description: type.description,
    extra_specs: type.extraSpecs ?? {},
    ...(isAdmin && { qos_specs_id: null }),
    ...(withAccess && { 'os-volume-type-access:is_public': isPublic }),
  };
}

import { capabilities, type Capabilities } from '../model/volume-type.ts';

/** Those that Ferry knows by itself, so that nobody configures them. */
const known = ['driver', 'thin_provisioning_support'] as const;

export const configuredCapabilities = capabilities
  .refine((given) => known.every((key) => !Object.hasOwn(given, key)), {
    error: `Ferry reports by itself: ${known.join(', ')}`,
  })
  .default({});

/** All that a back end says it has: what is configured, and what Ferry knows by itself. */
export function capabilitiesOf(
  backEnd: { name: string; driver: string; capabilities: Capabilities },
  { thin }: { thin: boolean },
): Capabilities {
  const own: Record<(typeof known)[number], string> = {
    driver: backEnd.driver,
    thin_provisioning_support: String(thin),
  };
  // As Cinder's, unless something else is configured: several back ends may be of one name.
  const byDefault = { volume_backend_name: backEnd.name, storage_protocol: 'nbd', vendor_name: 'Ferry' };
  return { ...byDefault, ...backEnd.capabilities, ...own };
}

import { backEndState, type ObservedBackEnd } from '../../../model/back-end.ts';
import { gib } from '../../../model/sizes.ts';
import { timeText } from '../times.ts';
import { poolName } from './volume.ts';

/** A back end as Cinder's volume service of that host. */
export function presentService(b: ObservedBackEnd, minor: number): object {
  return {
    binary: 'cinder-volume',
    host: b.name,
    zone: b.availabilityZone,
    status: b.disabled ? 'disabled' : 'enabled',
    state: backEndState(b, b.asOf),
    updated_at: timeText(b.heartbeatAt),
    ...(minor >= 7 && { cluster: null }),
    ...(minor >= 49 && { backend_state: backEndState(b, b.asOf) }),
    disabled_reason: b.disabledReason,
    replication_status: 'disabled',
    active_backend_id: null,
    frozen: false,
  };
}

export function presentHost(b: ObservedBackEnd): object {
  return {
    host_name: b.name,
    service: 'cinder-volume',
    zone: b.availabilityZone,
    'service-status': backEndState(b, b.asOf) === 'up' ? 'available' : 'unavailable',
    'service-state': b.disabled ? 'disabled' : 'enabled',
    'last-update': timeText(b.heartbeatAt),
  };
}

const gigabytes = (bytes: number) => Math.round((bytes / gib) * 100) / 100;

/** What stands in the catalogue of capabilities for every back end, and may be said otherwise in its configuration. */
function identityOf(b: ObservedBackEnd) {
  return {
    volume_backend_name: b.capabilities['volume_backend_name'] ?? b.name.slice(b.name.indexOf('@') + 1),
    storage_protocol: b.capabilities['storage_protocol'] ?? 'nbd',
    vendor_name: b.capabilities['vendor_name'] ?? 'Ferry',
    driver_version: b.capabilities['driver_version'] ?? '1.0',
  };
}

/** A back end as the scheduler's one pool of it. `placed`: what volumes on it may become at most. */
export function presentPool(
  b: ObservedBackEnd & { volumes: number; promisedBytes: number },
  { detail }: { detail: boolean },
): object {
  const name = poolName(b.name);
  if (!detail) return { name };
  const thin = b.capabilities['thin_provisioning_support'] === 'true';
  return {
    name,
    capabilities: {
      pool_name: name.slice(name.indexOf('#') + 1),
      total_capacity_gb: gigabytes(b.totalBytes),
      free_capacity_gb: gigabytes(b.freeBytes),
      allocated_capacity_gb: gigabytes(b.promisedBytes),
      provisioned_capacity_gb: gigabytes(b.promisedBytes),
      reserved_percentage: 0,
      max_over_subscription_ratio: '1.0',
      thin_provisioning_support: thin,
      thick_provisioning_support: !thin,
      total_volumes: b.volumes,
      ...identityOf(b),
      location_info: `Ferry:${b.name}`,
      QoS_support: false,
      multiattach: false,
      backend_state: backEndState(b, b.asOf),
      filter_function: null,
      goodness_function: null,
      timestamp: timeText(b.heartbeatAt),
    },
  };
}

/** What a back end says of itself, beside what it asks of nobody: Ferry's back ends have no properties to set. */
export function presentCapabilities(b: ObservedBackEnd): object {
  return {
    namespace: `OS::Storage::Capabilities::${b.name}`,
    ...identityOf(b),
    pool_name: b.name.slice(b.name.indexOf('@') + 1),
    description: null,
    display_name: null,
    visibility: null,
    replication_targets: [],
    properties: Object.fromEntries(
      Object.entries(b.capabilities)
        .filter(([key]) => !(key in identityOf(b)))
        .map(([key, value]) => [key, { title: key, description: `The back end has ${key}=${value}.`, type: 'string' }]),
    ),
  };
}

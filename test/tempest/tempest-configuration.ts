/**
 * What tempest is told of the cloud. Three classes cannot be set up without Glance, and five not without Neutron, though of their tests
 * only those use it that are left out: both are said to be there. `accounts`: a file of those that tests use; null: they make their own.
 */
export function tempestConfiguration({
  workspace,
  keystoneUrl,
  accounts,
}: {
  workspace: string;
  keystoneUrl: string;
  accounts: string | null;
}): string {
  return text({
    DEFAULT: { log_dir: workspace, log_file: 'tempest.log', debug: true },
    oslo_concurrency: { lock_path: `${workspace}/lock` },
    auth: {
      ...(accounts === null
        ? { use_dynamic_credentials: true, create_isolated_networks: false }
        : { use_dynamic_credentials: false, test_accounts_file: accounts }),
      admin_username: 'admin',
      admin_password: 'password-admin',
      admin_project_name: 'admin',
      admin_domain_name: 'Default',
      tempest_roles: 'member',
    },
    identity: {
      uri_v3: keystoneUrl,
      auth_version: 'v3',
      region: 'RegionOne',
      admin_role: 'admin',
      v3_endpoint_type: 'public',
    },
    service_available: {
      ...{ cinder: true, glance: true, neutron: accounts !== null, nova: false, swift: false, horizon: false },
    },
    volume: {
      catalog_type: 'volumev3',
      region: 'RegionOne',
      endpoint_type: 'public',
      max_microversion: 'latest',
      build_interval: 1,
      build_timeout: 120,
      volume_size: 1,
      volume_size_extend: 1,
      storage_protocol: 'nbd',
      vendor_name: 'Ferry',
      backend_names: 'lvmstorage-1,lvmstorage-2',
      manage_volume_ref: 'source-name,volume-%s',
      manage_snapshot_ref: 'source-name,_snapshot-%s',
    },
    'volume-feature-enabled': {
      api_extensions: 'all',
      multi_backend: true,
      backup: false,
      snapshot: true,
      clone: true,
      manage_volume: true,
      manage_snapshot: true,
      extend_volume_with_snapshot: true,
      volume_revert: true,
    },
    compute: { min_compute_nodes: 1 },
    'compute-feature-enabled': { volume_multiattach: false },
  });
}

type Sections = Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>;

function text(sections: Sections): string {
  return Object.entries(sections)
    .map(([name, options]) => {
      const lines = Object.entries(options).map(([key, value]) => `${key} = ${value}\n`);
      return `[${name}]\n${lines.join('')}`;
    })
    .join('\n');
}

/** Temporal search attributes of a migration, all of type KEYWORD: what the Web UI and `temporal workflow list` filter by. */
export const searchAttributes = {
  volume: 'FerryVolume',
  source: 'FerrySource',
  destination: 'FerryDestination',
  phase: 'FerryPhase',
  flow: 'FerryFlow',
  tenant: 'FerryTenant',
} as const;

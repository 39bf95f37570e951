import { searchAttributes } from '../model/search-attributes.ts';
import type { NativeConnection } from '@temporalio/worker';

/** Temporal's number for the type Keyword (`IndexedValueType`). */
const keyword = 2;

/**
 * Makes Temporal know the search attributes that workflows set; a workflow that sets an unknown one would be stuck. May be
 * repeated; where the caller may not (Temporal Cloud), they must have been made before, as docs/operations.md tells.
 */
export async function registerSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  const known = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(searchAttributes).filter((name) => !(name in (known.customAttributes ?? {})));
  if (missing.length === 0) return;
  await connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
  });
}

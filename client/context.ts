import type { Configuration } from '../configuration/schema.ts';
import type { Registry } from '../registry/open-registry.ts';
import type { Identity } from './identity.ts';
import type { Temporal } from './temporal.ts';

/** What every function of the client works with. */
export interface Context {
  readonly configuration: Configuration;
  readonly identity: Identity;
  readonly registry: Registry;
  /** When an operation is answered: at its end, or as soon as it has begun; then its end shows in the registry. */
  readonly answers: 'at the end' | 'when begun';
  /** Connected at the first use: what only reads the registry works without Temporal. */
  temporal(): Promise<Temporal>;
}

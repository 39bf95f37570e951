import { Argument } from 'commander';
import type { VisibleVolumeType } from '../volume-types.ts';
import { checked } from './arguments.ts';
import { label } from '../../model/text.ts';

/** The volume type that a command is about. */
export function typeArgument(what = 'its name or id'): Argument {
  return new Argument('<type>', what).argParser(checked('type', label.min(1, 'is empty')));
}

/** A type's properties by Cinder's names; what it asks for is shown to administrators. */
export function typeProperties({ description, extraSpecs, id, name }: VisibleVolumeType): Record<string, unknown> {
  return { description, ...(extraSpecs ? { extra_specs: extraSpecs } : {}), id, name };
}

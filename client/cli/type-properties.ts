import { Argument } from 'commander';
import * as z from 'zod';
import type { VisibleVolumeType } from '../volume-types.ts';
import { checked } from './arguments.ts';

/** The volume type that a command is about. */
export function typeArgument(what = 'its name or id'): Argument {
  return new Argument('<type>', what).argParser(checked('type', z.string().min(1, 'is empty').max(255, 'is too long')));
}

/** A type's properties by Cinder's names; what it asks for is shown to administrators. */
export function typeProperties({ description, extraSpecs, id, name }: VisibleVolumeType): Record<string, unknown> {
  return { description, ...(extraSpecs ? { extra_specs: extraSpecs } : {}), id, name };
}

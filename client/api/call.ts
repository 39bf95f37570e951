import type * as z from 'zod';
import type { Ferry } from '../open-ferry.ts';
import type { Refusals } from './fault.ts';
import type { Caller } from './identity/authentication.ts';
import type { Site } from './links.ts';

/** One request, when it is known who asks for what. */
export interface Asked<Body = unknown> {
  /** The named parts of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Body;
  readonly caller: Caller;
  /** Whether the caller sees what is an administrator's. */
  readonly isAdmin: boolean;
  readonly mayDo: (rule: string) => boolean;
  /** Ferry on behalf of the caller. */
  readonly ferry: Ferry;
  /** Ferry with an administrator's rights: for what the policy allows to the caller, after the caller was seen to see the object. */
  readonly admin: Ferry;
  /** The minor number of the microversion. */
  readonly minor: number;
  readonly site: Site;
  /** The name of the type of volumes that are asked for without one, if there is such a type. */
  readonly defaultVolumeType: string;
  /** The path that was asked for, from `/v3` on, without the query. */
  readonly path: string;
}

/** What a call answers: its status is the call's own, unless given. */
export interface Answer {
  status?: number;
  body?: unknown;
}

interface Named<S extends z.ZodType> {
  /** For the OpenAPI document. */
  summary: string;
  /** Cinder's name of the rule that the policy decides by; null for what everybody may. */
  rule: string | null;
  /** The first microversion that has it, and the last. Minor numbers. */
  since?: number;
  until?: number;
  /** What the request's body must be; unknown keys are ignored unless it says otherwise. */
  body?: S | ((minor: number) => S);
  /** The status of success. */
  status: 200 | 202 | 204 | 300;
  refusals?: Refusals;
  handle(asked: Asked<z.output<S>>): Promise<Answer> | Answer;
}

/** One call of the API. */
export interface Call<S extends z.ZodType = z.ZodType> extends Named<S> {
  method: 'get' | 'post' | 'put' | 'delete';
  /** From `/v3` on, without the project: `/volumes/{id}`. */
  path: string;
}

/** One action of a resource: `POST <path>` with a body whose only key is the action's name. */
export interface Action<S extends z.ZodType = z.ZodType> extends Named<S> {
  path: string;
  action: string;
}

/** The same, with its body's type kept for its `handle`. */
export function call<S extends z.ZodType>(one: Call<S>): Call {
  return one;
}

export function action<S extends z.ZodType>(one: Action<S>): Action {
  return one;
}

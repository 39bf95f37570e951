import * as z from 'zod';
import type { Action, Call } from './call.ts';
import { newest } from './microversion.ts';

type Documented = Call | Action;

/** The OpenAPI document, made from the same tables as the routes. */
export function openApiDocument(calls: readonly Call[], actions: readonly Action[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const each of calls) {
    (paths[`/v3${each.path}`] ??= {})[each.method] ??= operation(each, schemaOf(each));
  }
  for (const path of new Set(actions.map((each) => each.path))) {
    const here = actions.filter((each) => each.path === path);
    const bodies = here.map((each) => ({
      type: 'object',
      description: described(each),
      properties: { [each.action]: schemaOf(each) ?? {} },
      required: [each.action],
      additionalProperties: false,
    }));
    (paths[`/v3${path}`] ??= {})['post'] = operation(
      { ...here[0]!, summary: 'One action; the body has its name as its only key' },
      { oneOf: bodies },
      [...new Set(here.map(({ status }) => status))],
    );
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Ferry: Block Storage API v3', version: `3.${newest}` },
    paths,
    components: {
      securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
    },
    security: [{ token: [] }],
  };
}

function operation(of: Documented, schema: object | undefined, statuses: readonly number[] = [of.status]): object {
  const parameters = [...of.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  return {
    summary: of.summary,
    description: described(of),
    parameters: [
      ...parameters,
      { name: 'OpenStack-API-Version', in: 'header', schema: { type: 'string' }, example: `volume 3.${newest}` },
    ],
    ...(schema && { requestBody: { required: true, content: { 'application/json': { schema } } } }),
    responses: {
      ...Object.fromEntries(statuses.map((status) => [status, { description: 'It is done, or has begun (202).' }])),
      default: { description: "A fault: {name: {code, message}}, as Cinder's" },
    },
  };
}

function described({ summary, rule, since, until }: Documented): string {
  const versions = [
    ...(since === undefined ? [] : [`from 3.${since}`]),
    ...(until === undefined ? [] : [`until 3.${until}`]),
  ].join(' ');
  return [summary, ...(versions === '' ? [] : [versions]), ...(rule === null ? [] : [`policy ${rule}`])].join('; ');
}

function schemaOf({ body }: Documented): object | undefined {
  const schema = typeof body === 'function' ? body(newest) : body;
  if (schema === undefined) return undefined;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

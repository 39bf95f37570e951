import * as z from 'zod';
import { outcome } from '../../../model/migration.ts';
import { action, call, type Action, type Asked, type Call } from '../call.ts';
import { invalidInput, notFound, type Refusals } from '../fault.ts';
import { listQuery, nextLinks, page, isTrue } from '../list-query.ts';
import { presentMigration } from '../presenters/migration.ts';

const rule = 'ferry:migrations';

const refusals: Refusals = {
  MigrationNotFound: (_, { params }) => notFound(`Migration ${params['id']} could not be found.`),
};

/** The migration of that id; as it is now, when it runs and can be asked. */
async function find({ admin, params }: Asked) {
  const record = await admin.findMigration(params['id']!);
  const running = record.outcome === null ? await admin.migrationState(record.volumeId).catch(() => null) : null;
  return { record, running: running?.migrationId === record.id ? running : null };
}

async function list(asked: Asked) {
  const query = listQuery(asked.query);
  const { filters } = query;
  const wanted = outcome.optional().safeParse(filters.get('outcome'));
  if (!wanted.success) throw invalidInput(`outcome is none of ${outcome.options.join(', ')}.`);
  const volumeId = z.guid().optional().safeParse(filters.get('volume_id'));
  if (!volumeId.success) throw invalidInput('volume_id is not a UUID.');
  const running = filters.get('running');
  const found = await asked.admin.listMigrations({
    volumeId: volumeId.data,
    outcome: wanted.data,
    backEnd: filters.get('host')?.split('#')[0],
    ...(running === undefined ? {} : { running: isTrue(running) }),
  });
  const shown = page(found, query, ({ id }) => id);
  const href = `${asked.site.origin}/v3${asked.site.project}/${asked.path}`;
  return {
    body: {
      migrations: shown.map((each) => presentMigration(each)),
      ...nextLinks('migrations', { href, query: asked.query, limit: query.limit, shown }),
    },
  };
}

/** Migrations with their progress and refusals: what has no place in a volume of Cinder's. */
export const ferryMigrationCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/ferry/migrations',
    summary: 'List migrations, the last begun first',
    rule,
    status: 200,
    handle: list,
  }),
  call({
    method: 'get',
    path: '/ferry/migrations/{id}',
    summary: 'Show a migration, by its id or as the last one of a volume',
    rule,
    status: 200,
    refusals,
    async handle(asked) {
      const { record, running } = await find(asked);
      return { body: { migration: presentMigration(record, running) } };
    },
  }),
];

const controls = {
  cancel: 'Let a migration go back',
  pause: 'Stop the copy where it is',
  resume: 'Let the copy go on',
} as const;

const commands = { cancel: 'cancelMigration', pause: 'pauseMigration', resume: 'resumeMigration' } as const;

export const ferryMigrationActions: readonly Action[] = (['cancel', 'pause', 'resume'] as const).map((name) =>
  action({
    path: '/ferry/migrations/{id}/action',
    action: name,
    summary: controls[name],
    rule,
    status: 202,
    body: z.unknown(),
    refusals,
    async handle(asked) {
      const { record } = await find(asked);
      await asked.admin[commands[name]](record.volumeId);
      return {};
    },
  }),
);

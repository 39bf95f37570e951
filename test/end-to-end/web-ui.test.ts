import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { deviceName } from '../../model/names.ts';
import { startSystem, type PlainSystem } from '../../testbed/system.ts';
import { openWebUi, type WebUi } from './browser.ts';

const source = 'server1@lvmstorage-1';
const destination = 'server2@lvmstorage-2';
/** In the middle of 1 GiB; the rest are holes. With the cap below the copy takes as long as somebody looks at it. */
const dataMib = 64;
const dataFromMib = 512;
const cap = '256KiB/s';

let directory: string;
let system: PlainSystem;
let ui: WebUi;
let id: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-web-ui-'));
  system = await startSystem({ directory, backing: 'directory' });
  ui = await openWebUi(system.temporal.uiUrl, {
    profile: join(directory, 'profile'),
    screenshots: process.env['FERRY_SCREENSHOTS'] ?? join(directory, 'screenshots'),
  });
  id = await volumeWithData();
  await ferry('migrate', '--detach', '--bandwidth', cap, id, destination);
});
after(async () => {
  await ui?.close();
  await system?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function ferry(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await system.ferry(...args);
  assert.equal(exitCode, 0, stderr);
  return stdout;
}

async function volumeWithData(): Promise<string> {
  const answer = await ferry('--json', 'create', '--size', '1', '--host', source, '--name', 'database');
  const volume = JSON.parse(answer) as { id: string };
  const [node, group] = source.split('@') as [string, string];
  const file = join(directory, 'nodes', node, group, 'volumes', deviceName({ id: volume.id, nameId: null }));
  const device = await open(file, 'r+');
  await device.write(randomBytes(dataMib * 1024 ** 2), 0, null, dataFromMib * 1024 ** 2);
  await device.close();
  return volume.id;
}

/** How long something may take to be there on a machine under load; and how long a page is looked at before it is opened anew. */
const patienceMs = 240_000;
const freshMs = 5_000;

/** Opens and looks until all that is expected is seen: the UI does not renew everything by itself. */
async function see(open: () => Promise<void>, look: () => Promise<string>, ...expected: RegExp[]): Promise<string> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    await open();
    for (const stale = Date.now() + freshMs; ; await sleep(200)) {
      const text = await look();
      const missing = expected.filter((pattern) => !pattern.test(text));
      if (missing.length === 0) return text;
      assert.ok(Date.now() < deadline, `${missing.join(', ')} not seen in:\n${text}`);
      if (Date.now() > stale) break;
    }
  }
}

const seeInList = (query: string, ...expected: RegExp[]) =>
  see(
    () => ui.openList(query),
    () => ui.rows(),
    ...expected,
  );
const seeInTab = (tab: string, ...expected: RegExp[]) =>
  see(
    () => ui.openMigration(id, tab),
    () => ui.text(),
    ...expected,
  );
const seeInDetails = (...expected: RegExp[]) =>
  see(
    () => ui.openMigration(id, 'User Metadata'),
    () => ui.currentDetails(),
    ...expected,
  );

describe("a migration under way, in Temporal's Web UI", () => {
  test('is found by its volume, and the list says phase, source, destination, flow and tenant', async () => {
    const row = new RegExp(`Running migrate-${id} copying ${source} ${destination} generic-detached admin`);
    const rows = await seeInList(`FerryVolume="${id}"`, row);
    const [header, ...found] = rows.split('\n');
    assert.match(header!, /FerryPhase FerrySource FerryDestination FerryFlow FerryTenant/);
    assert.equal(found.length, 1, rows);
    await ui.screenshot('web-ui-list');
  });

  test('is found by its phase and destination', async () => {
    await seeInList(`FerryPhase="copying" AND FerryDestination="${destination}"`, new RegExp(`migrate-${id}`));
  });

  test('tells phase, bytes, speed, time left, cap, places and flow in its current details', async () => {
    await seeInDetails(
      /^Copying\b/,
      /\b5\d % — 5\d\d MiB of 1\.0 GiB, [\d.]+ [KM]iB\/s, ETA \d/,
      new RegExp(`From → to: ${source} → ${destination}`),
      /Flow: generic-detached/,
      /Cap: 256 KiB\/s/,
      /preparing: \d+s\s+copying since \d\d:\d\d:\d\d UTC/,
      /Refused operations: 0/,
    );
    await ui.screenshot('web-ui-running');
  });

  test('says what was asked for in its summary and details', async () => {
    const summary = new RegExp(`volume ${id} to ${destination}`);
    await seeInTab(
      'User Metadata',
      summary,
      /Speed: at most 256 KiB\/s/,
      new RegExp(`Cancel: ferry migration cancel ${id}`),
    );
  });

  test('shows the live position in the heartbeat of its pending activity', async () => {
    await seeInTab(
      'Pending Activities',
      /pullVolume/,
      /"position":\s*[1-9]\d*/,
      /"totalBytes":\s*1073741824/,
      /"bytesPerSecond":/,
    );
    await ui.screenshot('web-ui-pending');
  });

  test('says what each step does in its history', async () => {
    await seeInTab(
      'History',
      new RegExp(`claim volume ${id}`),
      /make volume-\S+ \(1\.0 GiB\)/,
      /export volume-\S+ read-only/,
      /copy 1\.0 GiB from/,
    );
    await ui.screenshot('web-ui-history');
  });

  test('says when it is paused', async () => {
    await ferry('migration', 'pause', id);
    await seeInDetails(/^Copying \(paused\)/);
    await ferry('migration', 'resume', id);
  });
});

describe("a finished migration, in Temporal's Web UI", () => {
  test('tells outcome, duration, digest, bytes sent and how long each phase took', async () => {
    await ferry('migration', 'set-bandwidth', id, 'unlimited');
    const phases = ['claiming', 'preparing', 'copying', 'switching', 'cleaning-up'];
    const details = await seeInDetails(
      new RegExp(`^Moved to ${destination} in \\d`),
      /Sent: 64\.0 MiB of 1\.0 GiB/,
      new RegExp(phases.map((phase) => `${phase}: \\d\\S*`).join('\\s+')),
    );
    const { digest } = JSON.parse(await ferry('--json', 'migration', 'show', id)) as { digest: string };
    assert.match(details, new RegExp(`Digest: ${digest}`));
    await ui.screenshot('web-ui-finished');
  });

  test('is in the list with its last phase', async () => {
    await seeInList(`FerryVolume="${id}"`, new RegExp(`Completed migrate-${id} finished ${source} ${destination}`));
  });

  test('names the point of no return and the release in its history', async () => {
    await seeInTab('History', /the point of no return/, /release the volume: success/);
  });
});

test("a refused migration says in Temporal's Web UI why nothing was touched", async () => {
  const { exitCode } = await system.ferry('migrate', id, destination);
  assert.equal(exitCode, 1);
  await seeInDetails(
    /^Refused: nothing was touched/,
    new RegExp(`SameBackEnd: Volume ${id} is already on ${destination}`),
  );
});

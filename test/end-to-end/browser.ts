import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Locator, type Page } from 'playwright-core';
import { findProgram } from '../../setup/find-program.mjs';
import { searchAttributes } from '../../model/search-attributes.ts';

/** Temporal's Web UI, as a person sees it in a browser. What is opened fills in its own time: look until it is there. */
export interface WebUi {
  /** Opens the workflow list for a query. */
  openList(query: string): Promise<void>;
  /** Opens one of the tabs of a volume's last migration. */
  openMigration(volumeId: string, tab: string): Promise<void>;
  /** The list's rows, header first; cells by blanks. */
  rows(): Promise<string>;
  /** All that is shown, the texts in frames last. */
  text(): Promise<string>;
  /** The current details, on the tab `User Metadata`. */
  currentDetails(): Promise<string>;
  /** Saves what is on the screen. */
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

/** Columns that a person would choose for migrations. */
const columns = [
  'Status',
  'Workflow ID',
  searchAttributes.phase,
  searchAttributes.source,
  searchAttributes.destination,
  searchAttributes.flow,
  searchAttributes.tenant,
];

const size = { width: 1440, height: 900 };

/** Opens the UI in a headless Chromium of its own, with a fresh profile. It reaches this machine only. */
export async function openWebUi(uiUrl: string, options: { profile: string; screenshots: string }): Promise<WebUi> {
  const executablePath = findProgram('chromium');
  if (!executablePath) throw new Error('Chromium is not installed; on Debian or Ubuntu: apt-get install chromium');
  await mkdir(options.screenshots, { recursive: true });
  const context = await chromium.launchPersistentContext(options.profile, {
    executablePath,
    headless: true,
    viewport: size,
    args: [
      ...(process.geteuid?.() === 0 ? ['--no-sandbox'] : []),
      ...['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
    ],
  });
  await context.route('**/*', (route) =>
    new URL(route.request().url()).hostname === '127.0.0.1' ? route.continue() : route.abort(),
  );
  // Where the UI keeps the columns that somebody chose.
  await context.addInitScript(
    (chosen) => {
      localStorage.setItem('namespace-workflow-table-columns', JSON.stringify({ default: chosen }));
    },
    columns.map((label) => ({ label })),
  );
  const page = await context.newPage();
  const workflows = `${uiUrl}/namespaces/default/workflows`;

  return {
    async openList(query) {
      await page.goto(`${workflows}?query=${encodeURIComponent(query)}`);
    },
    async openMigration(volumeId, tab) {
      await page.goto(`${workflows}/${encodeURIComponent(`migrate-${volumeId}`)}`);
      await page.getByRole('tab', { name: new RegExp(`^${tab}`) }).click();
    },
    async rows() {
      const rows = await page.getByRole('row').allInnerTexts();
      return rows.map((row) => row.split(/\s+/).join(' ').trim()).join('\n');
    },
    async text() {
      return [await page.locator('body').innerText(), ...(await frameTexts(page))].join('\n');
    },
    async currentDetails() {
      return (await frameTexts(page)).at(-1) ?? '';
    },
    async screenshot(name) {
      await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
    },
    close: () => context.close(),
  };
}

/** The UI shows each Markdown text in a frame of its own, which it may replace at any moment: then the text is empty. */
async function frameTexts(page: Page): Promise<string[]> {
  const frames = await page.locator('iframe').all();
  const read = (frame: Locator) => frame.contentFrame().locator('body').innerText({ timeout: 1000 });
  return Promise.all(frames.map((frame) => read(frame).catch(() => '')));
}

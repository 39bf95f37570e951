import { createHash } from 'node:crypto';
import { execa } from 'execa';
import * as z from 'zod';

const bill = z.looseObject({
  metadata: z.looseObject({}),
  components: z.array(z.looseObject({})),
});

/** What a staged release consists of, as CycloneDX: every package that npm installs with it, its version, licence and digest. */
export async function billOfMaterials(stage: string, time: number): Promise<string> {
  const { stdout } = await execa(
    'npm',
    ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'],
    { cwd: stage },
  );
  const made = bill.parse(JSON.parse(stdout));
  // npm gives each bill a number and time of its own: here equal releases have equal bills.
  const { serialNumber: _number, ...rest } = { ...made, serialNumber: '' };
  const digest = createHash('sha256').update(JSON.stringify(rest.components)).digest('hex');
  const uuid = [8, 12, 16, 20, 32].map((end, i, ends) => digest.slice(ends[i - 1] ?? 0, end)).join('-');
  const metadata = { ...rest.metadata, timestamp: new Date(time * 1000).toISOString() };
  return `${JSON.stringify({ ...rest, serialNumber: `urn:uuid:${uuid}`, metadata }, null, 2)}\n`;
}

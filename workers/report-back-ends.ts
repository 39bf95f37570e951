import type { Logger } from 'pino';
import type { VolumeDriver } from '../activities/storage/driver.ts';
import { capabilitiesOf } from '../configuration/capabilities.ts';
import type { NodeConfiguration } from '../configuration/schema.ts';
import { reportBackEnds } from '../registry/back-ends.ts';
import type { Registry } from '../registry/open-registry.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/**
 * Tells the registry, before it returns and every few seconds from then on, that this node's back ends are served and what they can hold. A report that
 * fails is said in the log and made again at the next beat.
 */
export async function startReporting(deps: {
  node: NodeConfiguration;
  drivers: ReadonlyMap<string, VolumeDriver>;
  registry: Registry;
  log: Logger;
}): Promise<{ stop: () => void }> {
  const { node, drivers, registry, log } = deps;
  const configured = new Map(node.backEnds.map((b) => [`${node.name}@${b.name}`, b]));
  const report = async () => {
    const rows = await Promise.all(
      [...drivers].map(async ([name, driver]) => {
        const base = {
          name,
          availabilityZone: node.availabilityZone,
          driver: driver.kind,
          capabilities: capabilitiesOf(configured.get(name)!, driver),
        };
        try {
          return { ...base, ...(await driver.capacity()), fault: null };
        } catch (error) {
          return { ...base, totalBytes: 0, freeBytes: 0, fault: (error as Error).message };
        }
      }),
    );
    await reportBackEnds(registry, node.name, rows);
  };
  return everyFewSeconds(report, (error) => log.warn({ error: error.message }, 'back ends could not be reported'));
}

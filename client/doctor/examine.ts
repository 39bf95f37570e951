import type { Configuration } from '../../configuration/schema.ts';
import { examineCertificates, examineClientName } from './certificates.ts';
import type { Finding } from './finding.ts';
import { examineLibvirt, examineNode } from './host.ts';
import { examineProgram, programsOf } from './programs.ts';
import { examineKeystone, examinePostgres, examineTemporal } from './services.ts';

/**
 * Looks at everything that the workers of this configuration need on this machine: the storage worker's if it has a `node`, the compute
 * worker's if it has a `compute`, and what all need. Changes nothing, may be repeated, also beside workers that run.
 */
export async function examine(configuration: Configuration): Promise<Finding[]> {
  const { node, compute, api, databaseUrl } = configuration;
  const parts = await Promise.all<Finding[]>([
    Promise.all(programsOf(configuration).map((program) => examineProgram(program))),
    node ? examineNode(node) : [],
    node?.tls ? examineCertificates(node.tls.directory) : [],
    node?.tls?.peers === 'named' ? examineClientName(node.tls.directory, node.name) : [],
    compute ? examineLibvirt(compute).then((finding) => [finding]) : [],
    examinePostgres(databaseUrl),
    examineTemporal().then((finding) => [finding]),
    api.keystone ? examineKeystone(api.keystone.url).then((finding) => [finding]) : [],
  ]);
  return parts.flat();
}

import {
  createQemuNbdExports,
  type QemuNbdExportsOptions,
} from '../../../../activities/storage/exports/create-qemu-nbd-exports.ts';
import type { Exports } from '../../../../activities/storage/exports.ts';
import { runCommand } from '../../../../activities/storage/run-command.ts';

type Given = Pick<QemuNbdExportsOptions, 'stateDirectory' | 'ports'> & Partial<QemuNbdExportsOptions>;

/** The exports of a node that only this machine reaches, without certificates. `options` change it. */
export const loopbackExports = (options: Given): Exports =>
  createQemuNbdExports({ address: '127.0.0.1', tls: null, insecureNetwork: false, run: runCommand, ...options });

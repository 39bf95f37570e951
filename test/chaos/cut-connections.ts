import { execa } from 'execa';

/**
 * Cuts the connections that there are to a port of this machine: both ends are told that the other one reset it, as by a firewall that
 * lost its state. New ones can be made at once. Needs root.
 */
export async function cutConnections(port: number): Promise<void> {
  await execa('ss', ['--kill', '--tcp', '--numeric', 'state', 'established', `sport = :${port}`]);
}

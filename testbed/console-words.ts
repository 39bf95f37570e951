/** What user-mode Linux says of itself rather than what runs in it: its panics, stacks and registers. */
const ofTheKernel =
  /^(\[ *\d+\.\d+\]|BUG:|WARNING:|CPU:|Call Trace:|Stack:|RIP:|Modules linked in|Code:|Pid:|page:|addr:|file:|\.\.\.$|---\[)|^ +[0-9a-f]{8,}|\[<?[0-9a-f]{8,}>?\]|^[A-Z0-9]{2,3}: +[0-9a-f]{8,}/;

const panic = /^.*Kernel panic - not syncing: *(.*)$/m;

/**
 * Whether a node's kernel has panicked, and why: what the node's own programs said last before it, else the kernel's reason. Null: it has
 * not. A panicked kernel's process stays, so that nothing else tells.
 */
export function panicIn(console: string): string | null {
  const found = panic.exec(console);
  if (!found) return null;
  const before = console.slice(0, found.index).split('\n');
  const words = before.map((line) => line.trim()).filter((line) => line !== '' && !ofTheKernel.test(line));
  const reason = `its kernel panicked: ${found[1]?.trim()}`;
  return words.length ? `${words.slice(-3).join('; ')} (${reason})` : reason;
}

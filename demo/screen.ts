import { styleText } from 'node:util';

const paint = (style: 'bold' | 'cyan' | 'dim' | 'green' | 'yellow', text: string) =>
  styleText(style, text, { stream: process.stdout });

/** What the demo says on the user's terminal. */
export const screen = {
  /** Begins a part: what is done, and how long that may take. */
  part(text: string): void {
    console.log(`\n${paint('bold', text)}`);
  },
  note(text: string): void {
    console.log(paint('dim', text));
  },
  /** What the user must not overlook. */
  warning(text: string): void {
    console.log(paint('yellow', text));
  },
  good(text: string): void {
    console.log(paint('green', text));
  },
  /** A command as its user would type it: `$` on this machine, `server1#` on a node. */
  command(prompt: string, argv: readonly string[]): void {
    console.log(paint('cyan', `${prompt} ${argv.map(quoted).join(' ')}`));
  },
  output(text: string): void {
    if (text.trim() !== '') console.log(text.replace(/^\n+/, '').trimEnd());
  },
};

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

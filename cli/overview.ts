import { COMMAND_GROUPS } from './commands/catalogue.ts';
import { wrapText } from './text-width.ts';

/** All commands with a line each, by what they are about: the help of the program as a whole. */
export function describeCommands(columns: number): string {
  const all = COMMAND_GROUPS.flatMap(({ commands }) => commands);
  const indent = Math.max(...all.map(({ words }) => words.length)) + 4;
  const sections = COMMAND_GROUPS.map(({ title, commands }) => {
    const lines = commands.map(({ words, summary }) => `  ${words.padEnd(indent - 2)}${wrapText(summary, Math.max(columns - indent - 1, 20)).join(`\n${' '.repeat(indent)}`)}`);
    return [`${title}:`, ...lines].join('\n');
  });
  return sections.join('\n\n');
}

import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';

test('`npm start` hands the same flags to Node.js as the conductor’s own first line', async () => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
  const [firstLine] = (await readFile('conductor/main.ts', 'utf8')).split('\n', 1);
  const flags = firstLine?.split('-S node ')[1];
  expect(flags).toMatch(/^--/);
  expect(scripts['start']).toMatch(new RegExp(`&& node ${flags} dist/conductor/main\\.js$`));
});

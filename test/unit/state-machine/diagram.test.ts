import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { renderDiagram, renderStatesPage, renderTable } from '../../../state-machine/diagram.ts';
import { PROVISION_STATES } from '../../../state-machine/provision-states.ts';
import { TRANSITIONS } from '../../../state-machine/provision-transitions.ts';

describe('docs/states.md', () => {
  test('is what the machine says; if not, run "npm run diagram"', () => {
    expect(readFileSync(join(import.meta.dirname, '../../../docs/states.md'), 'utf8')).toBe(renderStatesPage());
  });

  test('draws every transition, the ones with a common arrow together, with its condition', () => {
    const arrows = renderDiagram().split('\n').filter((line) => /^ {2}\w+ --> \w+ : /.test(line));
    const drawn = arrows.flatMap((line) => (line.split(' : ')[1] ?? '').split(', '));
    expect(drawn).toHaveLength(TRANSITIONS.length);
    expect(arrows).toEqual(expect.arrayContaining(['  snapshot_wait --> snapshot_failed : fail, abort', '  snapshot_failed --> active : abort [bootedBack]']));
  });

  test('shows every state under its own name', () => {
    for (const state of PROVISION_STATES) {
      if (state.includes(' ')) expect(renderDiagram()).toContain(`state "${state}" as `);
      expect(renderTable()).toContain(`| **${state}** |`);
    }
  });

  test('paints each state once', () => {
    const painted = [...renderDiagram().matchAll(/^ {2}class (.*) \w+$/gm)].flatMap(([, names]) => (names ?? '').split(', '));
    expect(painted.sort()).toEqual(PROVISION_STATES.map((state) => state.replaceAll(/\W/g, '_')).sort());
  });
});

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TRANSITIONS } from '../../state-machine/provision-transitions.ts';
import { SNAPSHOT_TRANSITIONS } from '../unit/state-machine/specification.ts';
import { coverTransitions } from './paths.ts';
import { ModelStage } from './stage.ts';
import { Walk, lineOf } from './walk.ts';

const PATHS = coverTransitions();
const TIMEOUT_MS = 180_000;

describe('nodes taken along the generated paths over HTTP', () => {
  let stage: ModelStage;
  let walks: Walk[] = [];
  let ends: PromiseSettledResult<void>[] = [];

  beforeAll(async () => {
    stage = await ModelStage.start(PATHS.length);
    walks = await Promise.all(PATHS.map(async (path, index) => new Walk(stage, await stage.enrol(index), path)));
    ends = await Promise.allSettled(walks.map((walk) => walk.toItsEnd())); // side by side: most of the time of each is waiting
  }, TIMEOUT_MS);
  afterAll(() => stage?.close(), TIMEOUT_MS);

  const seen = async (): Promise<string[]> => [...new Set((await Promise.all(walks.map((walk) => walk.history()))).flat())];

  test.each(PATHS.map((path, index) => [`path ${index + 1}: ${path.length} steps to ${path.at(-1)?.to}`, index] as const))('the history is the path, line by line: %s', async (_name, index) => {
    const end = ends[index];
    if (end?.status === 'rejected') throw end.reason;
    expect(await walks[index]?.history()).toEqual(PATHS[index]?.map(lineOf));
  });

  describe('every transition of the snapshot specification was seen', () => {
    test.each(SNAPSHOT_TRANSITIONS.map(([from, event, to]) => lineOf({ from, event: { type: event }, to })))('%s', async (line) => {
      expect(await seen()).toContain(line);
    });
  });

  test('every transition of the machine was seen, and no other', async () => {
    const declared = TRANSITIONS.map(({ from, event, to }) => lineOf({ from, event: { type: event }, to }));
    expect((await seen()).sort()).toEqual(declared.sort());
  });
});

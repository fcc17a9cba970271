import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TRANSITIONS } from '../../state-machine/provision-transitions.ts';
import { SNAPSHOT_TRANSITIONS } from '../unit/state-machine/specification.ts';
import { coverTransitions } from './paths.ts';
import { ModelStage } from './stage.ts';
import { Walk, lineOf } from './walk.ts';

/** What has become of a path: its node's whole history, and what went wrong. */
interface Outcome {
  history: string[];
  error: unknown;
}

const PATHS = coverTransitions();
const TIMEOUT_MS = 180_000;

describe('nodes taken along the generated paths over HTTP', () => {
  let stage: ModelStage;
  let outcomes: Promise<Outcome>[];

  beforeAll(async () => {
    stage = await ModelStage.start(PATHS.length);
    outcomes = PATHS.map((_, index) => walk(index)); // side by side: most of the time of each is waiting
  }, TIMEOUT_MS);
  afterAll(async () => {
    await Promise.all(outcomes ?? []);
    await stage?.close();
  }, TIMEOUT_MS);

  async function walk(index: number): Promise<Outcome> {
    let walk: Walk | undefined;
    try {
      walk = new Walk(stage, await stage.enrol(index), PATHS[index] ?? []);
      await walk.toItsEnd();
      return { history: await walk.history(), error: null };
    } catch (error) {
      return { history: (await walk?.history().catch(() => [])) ?? [], error }; // the path's own test throws it
    }
  }

  const seen = async (): Promise<Set<string>> => new Set((await Promise.all(outcomes)).flatMap(({ history }) => history));

  test.each(PATHS.map((path, index) => [`path ${index + 1}: ${path.length} steps to ${path.at(-1)?.to}`, index] as const))(
    'the history is the path, line by line: %s',
    async (_name, index) => {
      const { history, error } = (await outcomes[index])!;
      if (error !== null) throw error;
      expect(history).toEqual(PATHS[index]?.map(lineOf));
    },
    TIMEOUT_MS,
  );

  describe('every transition of the snapshot specification was seen', () => {
    test.each(SNAPSHOT_TRANSITIONS.map(([from, event, to]) => lineOf({ from, event: { type: event }, to })))('%s', async (line) => {
      expect([...(await seen())]).toContain(line);
    }, TIMEOUT_MS);
  });

  test('every transition of the machine was seen, and no other', async () => {
    const declared = TRANSITIONS.map(({ from, event, to }) => lineOf({ from, event: { type: event }, to }));
    expect([...(await seen())].sort()).toEqual(declared.sort());
  }, TIMEOUT_MS);
});

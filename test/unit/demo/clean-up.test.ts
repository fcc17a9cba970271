import { describe, expect, test } from '@jest/globals';
import { CleanUp } from '../../../demo/clean-up.ts';

describe('the clean-up', () => {
  test('undoes everything in reverse order, whatever fails, once, and says what failed', async () => {
    const undone: string[] = [];
    const cleanUp = new CleanUp();
    cleanUp.add('first', async () => void undone.push('first'));
    cleanUp.add('second', () => Promise.reject(new Error('is stuck')));
    cleanUp.add('third', async () => void undone.push('third'));
    expect(await cleanUp.run()).toEqual(['second: is stuck']);
    expect(undone).toEqual(['third', 'first']);
    expect(await cleanUp.run()).toEqual([]);
  });
});

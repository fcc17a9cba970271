import { describe, expect, test } from '@jest/globals';
import { findWrites } from './provision-state-writes.ts';
import { listSources, parseSource, readSource } from './source-files.ts';

const find = (path: string, text: string): string[] => findWrites(parseSource(path, text));
const IMPORT_STEP = `import type { Step } from '../../state-machine/provision-states.ts';\n`;

const SECOND_WRITERS: readonly (readonly [path: string, text: string])[] = [
  ['conductor/workflow/recovery.ts', `node.provisionState = 'active';`],
  ['conductor/workflow/recovery.ts', `node['provisionState'] = 'active';`],
  ['conductor/workflow/recovery.ts', `node.provisionState ??= 'active';`],
  ['conductor/workflow/recovery.ts', `[node.provisionState] = states;`],
  ['conductor/workflow/recovery.ts', `({ state: node.provisionState } = found);`],
  ['conductor/workflow/recovery.ts', `Reflect.set(node, 'provisionState', 'active');`],
  ['conductor/workflow/recovery.ts', `await parts.db.nodes.update(node.id, { lastError: null, provisionState: 'active' });`],
  ['conductor/workflow/recovery.ts', `const patch = { provisionState };\nawait nodes.update(id, patch);`],
  ['conductor/workflow/recovery.ts', `const row = { ...node, ['provisionState']: 'active' as const };`],
  ['conductor/workflow/recovery.ts', `Object.assign(node, { provisionState: 'active' });`],
  ['conductor/workflow/recovery.ts', `return { 'provisionState': 'active' };`],
  ['conductor/workflow/snapshot-session.ts', `await task.saveNode({ provisionState: 'active' });`],
  ['conductor/api/routes/nodes.ts', `await repository.save({ ...node, provisionState: 'available' });`],
  ['conductor/db/node-store.ts', `class NodeStore { async update(id: number) { await updateRows(manager, NodeEntity, { id }, { provisionState: 'active' }); } }`],
  ['conductor/db/node-store.ts', `manager.createQueryBuilder().update(NodeEntity).set({ provisionState: 'error' }).where({ id }).execute();`],
  ['conductor/db/node-store.ts', `manager.createQueryBuilder().update('nodes').set({ provision_state: 'error' }).execute();`],
  ['conductor/db/node-store.ts', `await manager.query("UPDATE nodes SET last_error = NULL, provision_state = 'active' WHERE id = ?", [id]);`],
  ['conductor/db/node-store.ts', 'await manager.query(`update nodes set provision_state = ${state}`);'],
  ['conductor/db/node-store.ts', `const where = swapState;`],
  ['conductor/workflow/recovery.ts', `await parts.db.nodes.storeStep(node.id, step, options);`],
  ['conductor/workflow/recovery.ts', `const store = parts.db.nodes['x'] ?? nodes.storeStep;`],
  ['conductor/workflow/provision-state.ts', `export async function repair() { await nodes.storeStep(node.id, step, options); }`],
  ['conductor/workflow/provision-state.ts', `const step = { from: 'active', event: 'snapshot', to: 'error', target: null, intentions: [] };`],
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}const step: Step = { from, event, to, target, intentions };`],
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}const step: Step = { ...other };`],
  ['conductor/workflow/provision-state.ts', `const step = { ...decided, to: 'active' };`],
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}store(found as Step);`],
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}store(found as unknown as Step);`],
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}store(found satisfies Step);`],
];

const NO_WRITERS: readonly (readonly [path: string, text: string])[] = [
  ['conductor/workflow/provision-state.ts', `${IMPORT_STEP}export async function changeProvisionState() { const step: Step | undefined = stepFrom(node.provisionState, event); await nodes.storeStep(node.id, step, {}); }`],
  ['conductor/db/node-store.ts', `import { swapState } from './stored-step.ts';\nclass NodeStore { async storeStep(id: number, step: Step) { return swapState(manager, id, step); } }`],
  ['conductor/db/stored-step.ts', `export async function swapState() { const columns = { provisionState: step.to }; }`],
  ['conductor/db/new-node.ts', `export function rowOf(node: NewNode) { return { provisionState: 'enroll', ...node }; }`],
  ['conductor/api/routes/nodes.ts', `function newNodeFrom(): NewNode { return { ...written, provisionState: minor < 11 ? 'available' : 'enroll' }; }`],
  ['conductor/api/node-filters.ts', `const query: NodeQuery = { provisionState: state };`],
  ['state-machine/provision-transitions.ts', `const edge = { from, event, to, intentions };`],
  ['conductor/db/node-store.ts', `manager.find(NodeEntity, { where: { provisionState: In(states) }, order: { provisionState: 'ASC' } });`],
  ['conductor/workflow/watch.ts', `const waiting = await nodes.list({ provisionState: 'snapshot wait' }); log.info({ provisionState: node.provisionState }, 'seen');`],
  ['conductor/workflow/watch.ts', `if (node.provisionState === 'active') throw new ConflictError('no', { provisionState: node.provisionState });`],
  ['conductor/workflow/watch.ts', `const { provisionState, id } = await nodes.get(1); const state = node.provisionState;`],
  ['conductor/api/node-fields.ts', `return { provision_state: node.provisionState, target_provision_state: node.targetProvisionState };`],
  ['conductor/db/entities/node-entity.ts', `new EntitySchema({ name: 'nodes', columns: { provisionState: text() } });`],
];

describe('provision_state changes in one way only: the machine decides, changeProvisionState asks it, storeStep stores', () => {
  test('no source has another writer', () => {
    expect(listSources().flatMap((path) => findWrites(readSource(path)))).toEqual([]);
  });

  test('and the one way is there, calling what it is meant to call', () => {
    expect(readSource('conductor/workflow/provision-state.ts').text).toMatch(/const step = stepFrom\(node\.provisionState, event, node\.targetProvisionState\);[\s\S]*\.storeStep\(node\.id, step,/);
    expect(readSource('conductor/db/stored-step.ts').text).toMatch(/provisionState: step\.to/);
  });

  test.each(SECOND_WRITERS)('the check finds in %s: %s', (path, text) => {
    expect(find(path, text)).not.toEqual([]);
  });

  test.each(NO_WRITERS)('the check lets be in %s: %s', (path, text) => {
    expect(find(path, text)).toEqual([]);
  });
});

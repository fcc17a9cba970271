import { provisionMachine, type ProvisionState } from './provision-machine.ts';
import { INITIAL_STATE, PROVISION_STATES, hasTag, otherTargetsOf, targetOf } from './provision-states.ts';
import { TRANSITIONS, type Transition } from './provision-transitions.ts';

/** How the states are painted, first match first; the colours are readable on light and dark pages. */
const PAINTS: readonly { name: string; means: string; style: string; holds: (state: ProvisionState) => boolean }[] = [
  { name: 'failed', means: 'red: a person decides', style: 'fill:#fbd9d6,stroke:#a8352b,color:#521510', holds: (state) => state === 'error' || state.endsWith(' failed') },
  { name: 'stable', means: 'green: nothing under way', style: 'fill:#d3f0d8,stroke:#2b7a3d,color:#123a1c', holds: (state) => hasTag(state, 'stable') },
  { name: 'working', means: 'blue: the conductor is at work', style: 'fill:#d6e6fb,stroke:#2f62a3,color:#142f52', holds: (state) => hasTag(state, 'failsOnRestart') },
  { name: 'waiting', means: 'yellow: waiting for the ramdisk, with a deadline', style: 'fill:#fdf0c4,stroke:#9a7400,color:#463500', holds: (state) => hasTag(state, 'timed') },
];

/** The page docs/states.md, made of the machine alone. */
export function renderStatesPage(): string {
  return `# States of a node

Generated from [provision-machine.ts](../state-machine/provision-machine.ts) by \`npm run diagram\`; a test fails when this page and the machine differ.

${renderDiagram()}

${PAINTS.map(({ means }) => means).join(' · ')}

${renderTable()}
`;
}

/** A Mermaid stateDiagram-v2 of the whole machine; events that lead from one state to the same next one share an arrow. */
export function renderDiagram(): string {
  return [
    '```mermaid',
    'stateDiagram-v2',
    ...PROVISION_STATES.filter((state) => state !== idOf(state)).map((state) => `  state "${state}" as ${idOf(state)}`),
    '',
    `  [*] --> ${idOf(INITIAL_STATE)}`,
    ...arrows().map(({ from, to, events }) => `  ${idOf(from)} --> ${idOf(to)} : ${events.join(', ')}`),
    '',
    ...PAINTS.map(({ name, style }) => `  classDef ${name} ${style}`),
    ...PAINTS.map(({ name }) => `  class ${PROVISION_STATES.filter((state) => paintOf(state) === name).map(idOf).join(', ')} ${name}`),
    '```',
  ].join('\n');
}

/** A row for each state: its tags, its target, and what each event does. */
export function renderTable(): string {
  return [
    '| state | tags | `target_provision_state` | event → next state |',
    '|---|---|---|---|',
    ...PROVISION_STATES.map((state) => `| **${state}** | ${tagsOf(state)} | ${targetsOf(state)} | ${edgesOf(state).map((edge) => `\`${edge.event}\`${guardOf(edge)} → ${edge.to}`).join('<br>')} |`),
  ].join('\n');
}

interface Arrow {
  from: ProvisionState;
  to: ProvisionState;
  events: string[];
}

function arrows(): Arrow[] {
  const byEnds = new Map<string, Arrow>();
  for (const edge of TRANSITIONS) {
    const ends = `${edge.from}>${edge.to}`;
    const arrow = byEnds.get(ends) ?? { from: edge.from, to: edge.to, events: [] };
    arrow.events.push(`${edge.event}${guardOf(edge)}`);
    byEnds.set(ends, arrow);
  }
  return [...byEnds.values()];
}

const edgesOf = (state: ProvisionState): Transition[] => TRANSITIONS.filter(({ from }) => from === state);
function targetsOf(state: ProvisionState): string {
  const { targetBy = {}, continues } = otherTargetsOf(state);
  const other = Object.entries(targetBy).map(([event, target]) => `${target} after \`${event}\``);
  return [targetOf(state) ?? '–', ...other, ...(continues ? [`that of ${continues.join(' or ')} when it comes from there`] : [])].join('; ');
}
const tagsOf = (state: ProvisionState): string => (provisionMachine.states[state]?.tags ?? []).join(', ') || '–';
const guardOf = ({ guard }: Transition): string => (guard === null ? '' : ` [${guard}]`);
const paintOf = (state: ProvisionState): string | undefined => PAINTS.find(({ holds }) => holds(state))?.name;
/** Mermaid's names are words; the label keeps Ironic's own spelling. */
const idOf = (state: string): string => state.replaceAll(/\W/g, '_');

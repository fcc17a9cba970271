import { isDeepStrictEqual } from 'node:util';
import type { ProvisionState } from '../../state-machine/provision-machine.ts';
import type { NodeView } from '../rig/baremetal-api.ts';
import { until } from '../rig/until.ts';
import { clearArrangements, meansOf } from './means.ts';
import type { Path, PathStep } from './paths.ts';
import { isAtRest } from './situation.ts';
import type { Actor, ModelStage } from './stage.ts';

/** A transition as it stands in the node's history. */
export const lineOf = ({ from, event, to }: Pick<PathStep, 'from' | 'to'> & { event: { type: string } }): string => `${from} -> ${to} (on ${event.type})`;

/** One node on its way along a path, over HTTP. */
export class Walk {
  readonly actor: Actor;
  readonly path: Path;
  readonly #stage: ModelStage;
  #holder: string | undefined;

  constructor(stage: ModelStage, actor: Actor, path: Path) {
    this.#stage = stage;
    this.actor = actor;
    this.path = path;
  }

  /** Makes every step happen, in order. @throws Error at the first one that goes another way, with what stands in the history. */
  async toItsEnd(): Promise<void> {
    let stepsMade = 0;
    for (const leg of partsOf(this.path, ({ from }) => isAtRest(from))) {
      await this.#setDriverInfo(leg);
      for (const stretch of partsOf(leg, (step) => meansOf(step).cause !== undefined)) {
        stepsMade += stretch.length;
        await this.#make(stretch, stepsMade);
      }
    }
  }

  /** Every transition of the node so far, oldest first. */
  async history(): Promise<string[]> {
    return (await this.#events()).map((event) => event.replace(/^(.+?) -> (.+?) by "(\w+)"[^]*$/, '$1 -> $2 (on $3)'));
  }

  demand(target: string, more?: Record<string, unknown>): Promise<void> {
    return this.#stage.api.demand(this.actor.uuid, target, more);
  }

  /** A snapshot of a server that runs, into a new holder. */
  async demandSnapshot(): Promise<void> {
    const { api } = this.#stage;
    // the fake deployment leaves power alone: after a failed undeployment the machine may still hang in its network boot
    if (this.actor.machine.runningFrom !== 'disk') await api.expect(202, 'PUT', `/v1/nodes/${this.actor.uuid}/states/power`, { target: 'rebooting' });
    await until('the server runs from its disk', async () => this.actor.machine.runningFrom === 'disk' && (await api.node(this.actor.uuid)).reservation === null);
    this.#holder = await this.#stage.createHolder();
    await this.demand('snapshot', { image_ref: this.#holder });
  }

  /** @throws Error unless the machine was really booted from the network. */
  async callFromRamdisk(): Promise<void> {
    const boot = this.actor.machine.bootLog.at(-1);
    if (boot?.target !== 'Pxe' || this.actor.machine.powerState !== 'On') throw new Error(`expected the machine to be booted from the network, found ${JSON.stringify(boot)}`);
    await this.actor.agent.call();
  }

  /** The first step is set off, the others follow by themselves. */
  async #make(stretch: readonly PathStep[], stepsMade: number): Promise<void> {
    const [first] = stretch;
    const last = stretch.at(-1);
    if (!first || !last) return;
    const { cause } = meansOf(first);
    if (!cause) throw new Error(`${lineOf(first)} begins at rest, but nothing is known that sets it off`);
    clearArrangements(this);
    for (const step of stretch) meansOf(step).arrange?.(this);
    await cause(this, first);

    const expected = this.path.slice(0, stepsMade).map(lineOf);
    const found = await until(
      `${stretch.map(lineOf).join(', ')}`,
      async () => {
        const lines = await this.history();
        return lines.length >= expected.length || !isDeepStrictEqual(lines, expected.slice(0, lines.length)) ? lines : null;
      },
      30_000,
    );
    if (!isDeepStrictEqual(found, expected)) {
      const { last_error: lastError } = await this.#stage.api.node(this.actor.uuid);
      throw new Error(`step ${stepsMade}: expected ${JSON.stringify(expected.slice(-4))} at the end of the history, found ${JSON.stringify(found.slice(-4))}; last_error: ${lastError}`);
    }
    const reasons = (await this.#events()).slice(stepsMade - stretch.length);
    for (const [index, step] of stretch.entries()) {
      const { because = /^/ } = meansOf(step);
      if (!because.test(reasons[index] ?? '')) throw new Error(`step ${stepsMade}: expected the history to give ${String(because)} as the reason, found ${reasons[index]}`);
    }
    clearArrangements(this); // a server whose BMC refuses everything can not be brought back
    const node = await this.#settled(last.to);
    if (this.#holder !== undefined && first.from.startsWith('snapshot') && isAtRest(last.to)) await this.#checkSnapshotEnd(this.#holder, last, node.last_error);
  }

  /** The holder is full or as it was found, and the server runs as before unless it was undeployed. */
  async #checkSnapshotEnd(holder: string, { to, event }: PathStep, error: string | null): Promise<void> {
    const { runningFrom } = this.actor.machine;
    if ((to === 'active' || to === 'snapshot failed') && runningFrom !== 'disk') throw new Error(`expected the server to run from its disk in "${to}", found ${runningFrom} (${error})`);
    if (to === 'snapshot failed' && error === null) throw new Error('expected last_error to say why the snapshot failed');
    const status = await this.#stage.imageStatus(holder);
    const due = event.type === 'done' && to === 'active' ? 'active' : 'queued';
    if (status !== due) throw new Error(`expected the image holder to be ${due} in "${to}" by ${event.type}, found ${status}`);
  }

  /** Nobody works on the node, and at rest its server is not about to be rebooted: one whose undeployment failed during a snapshot is brought back by itself. */
  async #settled(state: ProvisionState): Promise<NodeView> {
    let node = await this.#stage.api.settled(this.actor.uuid, state);
    await until(`${this.actor.uuid} is booted back in "${state}"`, async () => {
      node = await this.#stage.api.node(this.actor.uuid);
      const isDue = ['pending', 'failed'].includes(node.driver_internal_info.snapshot?.boot_back ?? 'done');
      return node.reservation === null && !(isAtRest(state) && isDue);
    });
    return node;
  }

  async #events(): Promise<string[]> {
    const { history } = (await this.#stage.api.expect(200, 'GET', `/v1/nodes/${this.actor.uuid}/history?detail=true`)) as { history: { event: string; event_type: string }[] };
    return history.filter((line) => line.event_type === 'provisioning').map(({ event }) => event);
  }

  /** What the conductor is to find at every step until the node is at rest again. */
  async #setDriverInfo(leg: readonly PathStep[]): Promise<void> {
    const fakeDeploy = merge(leg, (step) => meansOf(step).fakeDeploy?.(step));
    const driverInfo = { redfish_password: this.#stage.password, ...merge(leg, (step) => meansOf(step).driverInfo?.(step)), fake_deploy: fakeDeploy };
    const patch = Object.entries(driverInfo).map(([name, value]) => ({ op: 'add', path: `/driver_info/${name}`, value }));
    await this.#stage.api.expect(200, 'PATCH', `/v1/nodes/${this.actor.uuid}`, patch);
  }
}

/** Cuts before every step that begins a part. */
function partsOf(steps: readonly PathStep[], begins: (step: PathStep) => boolean): PathStep[][] {
  const parts: PathStep[][] = [];
  for (const step of steps) {
    if (parts.length === 0 || begins(step)) parts.push([]);
    parts.at(-1)?.push(step);
  }
  return parts;
}

/** @throws Error when two steps of the leg want different values of the same thing: then this path can not be walked. */
function merge<Value>(leg: readonly PathStep[], wanted: (step: PathStep) => Record<string, Value> | undefined): Record<string, Value> {
  const merged: Record<string, Value> = {};
  for (const step of leg) {
    for (const [name, value] of Object.entries(wanted(step) ?? {})) {
      if (name in merged && merged[name] !== value) throw new Error(`${lineOf(step)} wants ${name} to be ${String(value)}, an earlier step before the node is at rest ${String(merged[name])}`);
      merged[name] = value;
    }
  }
  return merged;
}

import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createExecNetwork } from '../../../../conductor/drivers/network/exec.ts';
import type { DriverTask, NetworkDriver } from '../../../../conductor/drivers/interfaces.ts';
import { makeTask } from '../../../contract/power/driver-task.ts';

let directory: string;
let program: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metalshot-network-'));
  program = join(directory, 'switch networks'); // a name that a shell would take apart
});
afterEach(() => rm(directory, { recursive: true }));

/** A network that is switched by this shell script; `arguments` stand before the action. */
async function networkOf(script: string, ...args: string[]): Promise<NetworkDriver> {
  await writeFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return createExecNetwork({ command: [program, ...args], timeoutMs: 2_000 });
}
function taskOf(): DriverTask {
  const task = makeTask({ name: 'server-1', driver: 'redfish', properties: { cpu_arch: 'x86_64' }, extra: { rack: 'r1' }, networkData: { links: [] }, driverInfo: { redfish_password: 'correct horse' }, instanceUuid: null });
  const port = { id: 1, uuid: 'p1', nodeId: 1, address: '52:54:00:00:00:01', name: null, pxeEnabled: true, isSmartnic: false, physicalNetwork: 'prov', localLinkConnection: { switch_id: 's1', port_id: 'Gi1/0/1' }, extra: {}, internalInfo: { x: 1 }, portgroupId: null, createdAt: new Date(), updatedAt: null };
  return { ...task, ports: [port] };
}

describe('a network that a program switches', () => {
  test('is told what to do as the last argument, and of which machine on standard input, without its secrets', async () => {
    const network = await networkOf(`printf '%s\\n' "$#" "$@" > "$(dirname "$0")/args"; cat > "$(dirname "$0")/input"; env > "$(dirname "$0")/environment"`, '--site', 'north; rm -rf $HOME');
    const task = taskOf();
    await network.addProvisioningNetwork(task);
    expect(await readFile(join(directory, 'args'), 'utf8')).toBe('3\n--site\nnorth; rm -rf $HOME\nadd_provisioning_network\n');
    const input = await readFile(join(directory, 'input'), 'utf8');
    expect(JSON.parse(input)).toEqual({
      action: 'add_provisioning_network',
      node: { uuid: task.node.uuid, name: 'server-1', driver: 'redfish', properties: { cpu_arch: 'x86_64' }, extra: { rack: 'r1' }, instance_uuid: null, network_data: { links: [] } },
      ports: [{ uuid: 'p1', address: '52:54:00:00:00:01', physical_network: 'prov', local_link_connection: { switch_id: 's1', port_id: 'Gi1/0/1' }, extra: {}, internal_info: { x: 1 } }],
    });
    expect(input).not.toContain('correct horse');
    expect((await readFile(join(directory, 'environment'), 'utf8')).split('\n').map((line) => line.split('=')[0])).not.toContain('NODE_OPTIONS');
    expect(await readFile(join(directory, 'environment'), 'utf8')).toMatch(/^PATH=\/usr\/local\/sbin:/m);
  });

  test('is asked for each of the four actions by name', async () => {
    const network = await networkOf('echo "$1" >> "$(dirname "$0")/actions"');
    const task = taskOf();
    for (const act of ['unconfigureTenantNetworks', 'addProvisioningNetwork', 'removeProvisioningNetwork', 'configureTenantNetworks'] as const) await network[act](task);
    expect(await readFile(join(directory, 'actions'), 'utf8')).toBe('unconfigure_tenant_networks\nadd_provisioning_network\nremove_provisioning_network\nconfigure_tenant_networks\n');
  });

  test('that could not be switched fails the work with what the program says', async () => {
    const network = await networkOf('echo "switch s1: port Gi1/0/1 is not ours" >&2; exit 3');
    await expect(network.removeProvisioningNetwork(taskOf())).rejects.toThrow(/could not be switched \(remove_provisioning_network\).*exit code 3: switch s1: port Gi1\/0\/1 is not ours/);
  });

  test('has its time, and ends with the work that asked for it', async () => {
    const network = createExecNetwork({ command: [(await networkOf('exec sleep 60')) && program], timeoutMs: 200 });
    await expect(network.addProvisioningNetwork(taskOf())).rejects.toThrow('did not end within 0.2 s');
    const stopping = new AbortController();
    const slow = createExecNetwork({ command: [program], timeoutMs: 60_000 });
    const asked = slow.addProvisioningNetwork({ ...taskOf(), signal: stopping.signal });
    stopping.abort();
    await expect(asked).rejects.toThrow('stopped');
  });

  test('does not mind a program that reads nothing and says too much', async () => {
    const network = await networkOf('head -c 20000000 /dev/zero; exit 0');
    await expect(network.addProvisioningNetwork(taskOf())).resolves.toBeUndefined();
  });
});

describe('the network interface "exec" can not work', () => {
  test('without a program in the configuration', async () => {
    await expect(createExecNetwork(null).validate(taskOf())).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining('network.exec_command') });
  });

  test('with a program that is not there, can not be executed, is no file or is named without its path', async () => {
    const refusal = (path: string): Promise<void> => createExecNetwork({ command: [path], timeoutMs: 1_000 }).validate(taskOf());
    await expect(refusal(join(directory, 'nothing'))).rejects.toThrow('ENOENT');
    await networkOf('exit 0');
    await expect(refusal(program)).resolves.toBeUndefined();
    await chmod(program, 0o644);
    await expect(refusal(program)).rejects.toThrow('EACCES');
    await expect(refusal(directory)).rejects.toThrow('which is no file');
    await expect(refusal('sh')).rejects.toThrow('expected the absolute path');
  });
});

/**
 * The functional tests that openstacksdk has for Ironic, as Debian packages them, against a conductor as its users run it.
 * What they need of modules that this service does not have (allocations, chassis, deploy templates) is told in docs/ironic-differences.md.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { runProgram } from '../../protocol/program.ts';
import { requirePackages } from '../peers/glance.ts';
import { ConductorProcess } from '../rig/conductor-process.ts';

const TESTS = '/usr/lib/python3/dist-packages/openstack/tests/functional/baremetal';
const MODULES = ['node', 'port', 'port_group', 'driver', 'conductor', 'volume_connector', 'volume_target'];
const TIMEOUT_MS = 480_000;
/** Of one test of theirs; they wait for provision states in steps of seconds. */
const THEIR_TIMEOUT_S = '120';

let directory: string;
beforeAll(async () => {
  requirePackages({ [join(TESTS, 'test_baremetal_node.py')]: 'python3-openstacksdk', '/usr/lib/python3/dist-packages/oslotest/base.py': 'python3-oslotest' });
  directory = await mkdtemp(join(tmpdir(), 'sdk-functional-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Each module has a conductor of its own: they use the same names for their nodes. */
async function runModule(module: string): Promise<string> {
  const home = join(directory, module);
  await mkdir(home);
  const conductor = await ConductorProcess.start(home, { config: { '': { enabled_hardware_types: ['fake-hardware'] } } });
  try {
    await writeFile(join(home, 'clouds.yaml'), cloudsAt(conductor.apiUrl));
    const { stderr } = await runProgram('/usr/bin/python3', ['-m', 'unittest', `openstack.tests.functional.baremetal.test_baremetal_${module}`], {
      timeoutMs: TIMEOUT_MS,
      cwd: home,
      acceptedExitCodes: [0, 1],
      env: {
        PATH: '/usr/bin:/bin',
        HOME: home,
        LC_ALL: 'C.UTF-8',
        OS_CLIENT_CONFIG_FILE: join(home, 'clouds.yaml'),
        OS_CLOUD: 'devstack-admin',
        OS_TEST_TIMEOUT: THEIR_TIMEOUT_S,
        OPENSTACKSDK_FUNC_TEST_TIMEOUT: THEIR_TIMEOUT_S,
        OPENSTACKSDK_FUNC_TEST_TIMEOUT_BAREMETAL: THEIR_TIMEOUT_S,
      },
    });
    return stderr;
  } finally {
    await conductor.process.stop();
  }
}

/** The names of clouds that these tests ask for, all of them this conductor and no other service. */
const cloudsAt = (endpoint: string): string => {
  const others = Object.fromEntries(['compute', 'image', 'network', 'identity'].map((service) => [`has_${service}`, false]));
  const cloud = { auth_type: 'none', auth: { endpoint }, baremetal_endpoint_override: endpoint, ...others };
  return stringify({ clouds: { devstack: cloud, 'devstack-alt': cloud, 'devstack-admin': cloud } });
};

describe('the functional tests of openstacksdk', () => {
  test.concurrent.each(MODULES)(
    'of %s pass, all of them',
    async (module) => {
      const told = await runModule(module);
      expect(told).toMatch(/\nRan [1-9]\d* tests? in [\d.]+s\n\nOK\n$/);
    },
    TIMEOUT_MS + 60_000,
  );
});

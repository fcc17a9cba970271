import { describe, expect, test } from '@jest/globals';
import { checkCallbackAddress } from '../../../../conductor/workflow/callback-address.ts';

describe('an agent is called back', () => {
  test.each<[string, string, string[]]>([
    ['https://10.0.0.7:9999', '10.0.0.7', []],
    ['https://10.0.0.7:9999', '::ffff:10.0.0.7', []],
    ['https://[fd77::7]:9999', 'fd77::7', []],
    ['https://[fd77:0:0::7]:9999', 'fd77::7', []],
    ['https://[::ffff:10.0.0.7]:9999', '10.0.0.7', []],
    ['https://192.168.4.9:9999', '10.0.0.1', ['172.16.0.0/12', '192.168.4.0/24']],
    ['https://[fd77::9]:9999', '10.0.0.1', ['fd77::/64']],
    ['https://localhost:9999', '127.0.0.1', ['127.0.0.0/8', '::1/128']],
    ['https://[fe80::1]:9999', 'fe80::1%eth0', []],
  ])('at %s when it calls from %s (allowed: %j)', async (url, peer, networks) => {
    await expect(checkCallbackAddress(url, peer, networks)).resolves.toBeUndefined();
  });

  test.each<[string, string, string[], string]>([
    ['https://10.0.0.8:9999', '10.0.0.7', [], 'expected the address that the heartbeat came from (10.0.0.7), found https://10.0.0.8:9999'],
    ['https://169.254.169.254', '10.0.0.7', ['10.0.0.0/8'], '(10.0.0.7) or one in 10.0.0.0/8, found https://169.254.169.254'],
    ['https://[::ffff:10.0.0.8]:9999', '10.0.0.7', [], 'provisioning.callback_networks'],
    ['https://localhost:9999', '10.0.0.7', [], 'which is '],
    ['https://nobody.invalid:9999', '10.0.0.7', ['0.0.0.0/0', '::/0'], 'can not be resolved'],
    ['https://10.0.0.7', 'unknown', [], '(unknown)'],
  ])('but not at %s when it calls from %s (allowed: %j)', async (url, peer, networks, message) => {
    await expect(checkCallbackAddress(url, peer, networks)).rejects.toMatchObject({ httpStatus: 400, message: expect.stringContaining(message) });
  });
});

import { describe, expect, test } from '@jest/globals';
import { maskSecrets } from '../../../../conductor/api/secrets.ts';
import { IPMI_PROPERTIES, readIpmiAccess } from '../../../../conductor/drivers/ipmi-access.ts';
import type { JsonObject } from '../../../../protocol/json.ts';

const KEY = '0102ff80aa0a5c25220a0b0c0d0e0f0a11121300';
const FULL = { ipmi_address: 'BMC-7.example', ipmi_port: '6230', ipmi_username: 'operator', ipmi_password: 'of-the-bmc', ipmi_hex_kg_key: KEY, ipmi_priv_level: 'operator', ipmi_cipher_suite: 3, ipmi_protocol_version: '2.0', ipmi_disable_boot_timeout: 'False', ipmi_bridging: 'no' };

describe('the IPMI properties of a BMC', () => {
  test('need an address only; the rest has defaults', () => {
    expect(readIpmiAccess({ ipmi_address: '10.0.0.7' })).toEqual({ address: '10.0.0.7', port: 623, username: null, password: null, hexKgKey: null, privilegeLevel: 'ADMINISTRATOR', cipherSuite: null, protocolVersion: '2.0', disablesBootTimeout: true });
  });

  test('may be given in full, numbers as text too', () => {
    expect(readIpmiAccess(FULL)).toEqual({ address: 'bmc-7.example', port: 6230, username: 'operator', password: 'of-the-bmc', hexKgKey: KEY, privilegeLevel: 'OPERATOR', cipherSuite: 3, protocolVersion: '2.0', disablesBootTimeout: false });
  });

  test.each<[JsonObject, string]>([
    [{}, "Missing the following IPMI credentials in node's driver_info: ['ipmi_address']"],
    [{ ipmi_address: '-H evil' }, 'driver_info.ipmi_address: expected a host name or an address'],
    [{ ipmi_address: 'https://10.0.0.7' }, 'driver_info.ipmi_address: expected a host name or an address'],
    [{ ipmi_address: 'bmc', ipmi_port: 0 }, 'driver_info.ipmi_port: expected a number from 1 to 65535, found 0'],
    [{ ipmi_address: 'bmc', ipmi_port: 'ssh' }, 'driver_info.ipmi_port: expected a number from 1 to 65535, found "ssh"'],
    [{ ipmi_address: 'bmc', ipmi_username: 'u' }, 'driver_info.ipmi_password: required with ipmi_username'],
    [{ ipmi_address: 'bmc', ipmi_username: 'longer-than-16-bytes', ipmi_password: 'secret-1' }, 'driver_info.ipmi_username: expected at most 16 bytes'],
    [{ ipmi_address: 'bmc', ipmi_username: 'u', ipmi_password: 12345 }, 'driver_info.ipmi_password: expected text'],
    [{ ipmi_address: 'bmc', ipmi_username: 'u', ipmi_password: 'secret-1-of-21-bytes-' }, 'driver_info.ipmi_password: expected at most 20 bytes, which is all that IPMI can carry; it has 21'],
    [{ ipmi_address: 'bmc', ipmi_username: 'u', ipmi_password: 'secret-1-17-bytes', ipmi_protocol_version: '1.5' }, 'driver_info.ipmi_password: expected at most 16 bytes'],
    [{ ipmi_address: 'bmc', ipmi_hex_kg_key: 'secret-1' }, 'driver_info.ipmi_hex_kg_key: expected 40 hexadecimal digits'],
    [{ ipmi_address: 'bmc', ipmi_hex_kg_key: KEY, ipmi_protocol_version: 1.5 }, 'driver_info.ipmi_hex_kg_key: protocol version 1.5 has no such key'],
    [{ ipmi_address: 'bmc', ipmi_hex_kg_key: KEY.replace('0102', '0100') }, 'driver_info.ipmi_hex_kg_key: a key with null bytes other than at its end'],
    [{ ipmi_address: 'bmc', ipmi_priv_level: 'ROOT' }, 'driver_info.ipmi_priv_level: expected one of ADMINISTRATOR, OPERATOR, USER, CALLBACK, found "ROOT"'],
    [{ ipmi_address: 'bmc', ipmi_cipher_suite: 18 }, 'driver_info.ipmi_cipher_suite: expected a number from 0 to 17, found 18'],
    [{ ipmi_address: 'bmc', ipmi_protocol_version: '3.0' }, 'driver_info.ipmi_protocol_version: expected "2.0" or "1.5", found "3.0"'],
    [{ ipmi_address: 'bmc', ipmi_disable_boot_timeout: 'maybe' }, 'driver_info.ipmi_disable_boot_timeout: expected true or false, found "maybe"'],
    [{ ipmi_address: 'bmc', ipmi_bridging: 'dual' }, 'driver_info.ipmi_bridging: only "no" is supported, found "dual"'],
  ])('are refused with the name of the wrong one: %j', (driverInfo, message) => {
    let refusal: unknown;
    try {
      readIpmiAccess(driverInfo);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: 'InvalidParameterValue', message: expect.stringContaining(message) });
    expect(JSON.stringify(refusal)).not.toMatch(/secret-1|0100ff80/);
  });

  test('show no secret in an answer of the API, and describe every property that is read', () => {
    expect(maskSecrets(FULL)).toEqual({ ...FULL, ipmi_password: '******', ipmi_hex_kg_key: '******' });
    expect(Object.keys(IPMI_PROPERTIES).toSorted()).toEqual(Object.keys(FULL).filter((name) => name !== 'ipmi_bridging').toSorted());
  });
});

import { InvalidParameterError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';

export const PRIVILEGE_LEVELS = ['ADMINISTRATOR', 'OPERATOR', 'USER', 'CALLBACK'] as const;

/** How a BMC is reached by IPMI, as `driver_info` says. */
export interface IpmiAccess {
  address: string;
  port: number;
  /** Null: the nameless user. */
  username: string | null;
  /** Null: none. */
  password: string | null;
  /** 40 hexadecimal digits; null: the BMC has no key of its own. */
  hexKgKey: string | null;
  privilegeLevel: (typeof PRIVILEGE_LEVELS)[number];
  /** Null: the first of those that are tried which the BMC takes. */
  cipherSuite: number | null;
  protocolVersion: '2.0' | '1.5';
  /** Whether the BMC is told to keep a boot device longer than the 60 seconds that IPMI gives it. */
  disablesBootTimeout: boolean;
}

export const IPMI_PROPERTIES: Readonly<Record<string, string>> = {
  ipmi_address: 'Host name or address of the BMC. Required.',
  ipmi_port: 'UDP port of the BMC. Default 623.',
  ipmi_username: 'User name on the BMC, at most 16 bytes. Optional, needed by nearly every BMC.',
  ipmi_password: 'Password on the BMC, at most 20 bytes (16 with protocol version 1.5). Required with ipmi_username.',
  ipmi_hex_kg_key: 'Kg key of the BMC, 40 hexadecimal digits, when it has one. Protocol version 2.0 only.',
  ipmi_priv_level: `Privilege level of the session: ${PRIVILEGE_LEVELS.join(', ')}. Power and boot device need OPERATOR at least. Default ADMINISTRATOR.`,
  ipmi_cipher_suite: 'Cipher suite of protocol version 2.0, 0 to 17. Default: 17, or 3 when the BMC does not take that.',
  ipmi_protocol_version: '"2.0" (RMCP+) or "1.5". Default "2.0".',
  ipmi_disable_boot_timeout: 'Whether the BMC is told to keep a boot device for longer than 60 seconds. Default true.',
};

/** Lengths of IPMI 2.0 tables 22-30 (Set User Password) and 13-11 (RAKP message 1). */
const MAX_USERNAME_BYTES = 16;
const MAX_PASSWORD_BYTES = { '2.0': 20, '1.5': 16 } as const;
const MAX_CIPHER_SUITE = 17;

/** @throws InvalidParameterError naming the property that is missing or wrong, never its value when it is a secret. */
export function readIpmiAccess(driverInfo: JsonObject): IpmiAccess {
  const protocolVersion = readProtocolVersion(driverInfo);
  const username = text(driverInfo, 'ipmi_username', { maxBytes: MAX_USERNAME_BYTES });
  const password = text(driverInfo, 'ipmi_password', { secret: true, maxBytes: MAX_PASSWORD_BYTES[protocolVersion] });
  if (username !== null && password === null) throw new InvalidParameterError('driver_info.ipmi_password: required with ipmi_username');
  refuseBridging(driverInfo);
  return {
    address: readAddress(driverInfo),
    port: integer(driverInfo, 'ipmi_port', 1, 65_535) ?? 623,
    username,
    password,
    hexKgKey: readKgKey(driverInfo, protocolVersion),
    privilegeLevel: readPrivilegeLevel(driverInfo),
    cipherSuite: integer(driverInfo, 'ipmi_cipher_suite', 0, MAX_CIPHER_SUITE),
    protocolVersion,
    disablesBootTimeout: readBoolean(driverInfo, 'ipmi_disable_boot_timeout') ?? true,
  };
}

function readAddress(driverInfo: JsonObject): string {
  const address = text(driverInfo, 'ipmi_address');
  if (address === null) throw new InvalidParameterError(`Missing the following IPMI credentials in node's driver_info: ['ipmi_address']. ${IPMI_PROPERTIES['ipmi_address']}`);
  if (!/^[A-Za-z0-9:][A-Za-z0-9.:_%-]{0,252}$/.test(address)) throw new InvalidParameterError(`driver_info.ipmi_address: expected a host name or an address, without scheme and port, found ${JSON.stringify(address)}`);
  return address.toLowerCase();
}

function readProtocolVersion(driverInfo: JsonObject): IpmiAccess['protocolVersion'] {
  const version = driverInfo['ipmi_protocol_version'] ?? '2.0';
  if (version === '2.0' || version === 2) return '2.0';
  if (version === '1.5' || version === 1.5) return '1.5';
  throw new InvalidParameterError(`driver_info.ipmi_protocol_version: expected "2.0" or "1.5", found ${JSON.stringify(version)}`);
}

function readPrivilegeLevel(driverInfo: JsonObject): IpmiAccess['privilegeLevel'] {
  const given = text(driverInfo, 'ipmi_priv_level')?.toUpperCase() ?? 'ADMINISTRATOR';
  const level = PRIVILEGE_LEVELS.find((name) => name === given);
  if (!level) throw new InvalidParameterError(`driver_info.ipmi_priv_level: expected one of ${PRIVILEGE_LEVELS.join(', ')}, found ${JSON.stringify(given)}`);
  return level;
}

function readKgKey(driverInfo: JsonObject, protocolVersion: IpmiAccess['protocolVersion']): string | null {
  const key = text(driverInfo, 'ipmi_hex_kg_key', { secret: true });
  if (key === null) return null;
  if (!/^[0-9a-f]{40}$/i.test(key)) throw new InvalidParameterError('driver_info.ipmi_hex_kg_key: expected 40 hexadecimal digits');
  if (protocolVersion !== '2.0') throw new InvalidParameterError('driver_info.ipmi_hex_kg_key: protocol version 1.5 has no such key; remove it, or set ipmi_protocol_version to "2.0"');
  // ipmitool takes a key other than in its arguments, which everybody can read, as a text that ends at the first null byte
  if (!/^((?!00)..)+(00)*$/.test(key)) throw new InvalidParameterError('driver_info.ipmi_hex_kg_key: a key with null bytes other than at its end cannot be handed over in secret; set another one on the BMC');
  return key;
}

/** A BMC behind another one is not reached; to leave it out in silence would command the wrong machine. */
function refuseBridging(driverInfo: JsonObject): void {
  const bridging = text(driverInfo, 'ipmi_bridging') ?? 'no';
  if (bridging !== 'no') throw new InvalidParameterError(`driver_info.ipmi_bridging: only "no" is supported, found ${JSON.stringify(bridging)}`);
}

function text(driverInfo: JsonObject, property: string, { secret = false, maxBytes = Infinity } = {}): string | null {
  const value = driverInfo[property];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string') throw new InvalidParameterError(`driver_info.${property}: expected text${secret ? '' : `, found ${JSON.stringify(value)}`}`);
  if (value.includes('\0')) throw new InvalidParameterError(`driver_info.${property}: expected text without null characters`);
  if (Buffer.byteLength(value) > maxBytes) throw new InvalidParameterError(`driver_info.${property}: expected at most ${maxBytes} bytes, which is all that IPMI can carry; it has ${Buffer.byteLength(value)}`);
  return value;
}

function integer(driverInfo: JsonObject, property: string, least: number, most: number): number | null {
  const value = driverInfo[property];
  if (value === undefined || value === null || value === '') return null;
  const number = typeof value === 'number' ? value : typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : NaN;
  if (!Number.isInteger(number) || number < least || number > most) throw new InvalidParameterError(`driver_info.${property}: expected a number from ${least} to ${most}, found ${JSON.stringify(value)}`);
  return number;
}

function readBoolean(driverInfo: JsonObject, property: string): boolean | null {
  const value = driverInfo[property];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  throw new InvalidParameterError(`driver_info.${property}: expected true or false, found ${JSON.stringify(value)}`);
}

import { OperationFailedError } from '../../protocol/errors.ts';
import { runProgram, SYSTEM_PATH, type ProgramResult } from '../../protocol/program.ts';
import type { IpmiAccess } from './ipmi-access.ts';
import { IpmiError, judgeIpmitool } from './ipmi-failure.ts';

export interface IpmitoolCommand {
  access: IpmiAccess;
  /** Of protocol version 2.0. */
  cipherSuite: number;
  /** What is to be done, for example `['chassis', 'power', 'status']`. */
  args: readonly string[];
  /** What it writes when it is done: ipmitool ends well also when a BMC has refused a boot option. */
  expected?: RegExp | undefined;
  /** The program; one on the PATH of the system unless it is a path. */
  program: string;
  /** Milliseconds for the whole command: session, command, end of the session. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Seconds before a message is sent again, growing by one each time, and how often it is sent: 6 s for a BMC that is not there. */
const ANSWER_TIMEOUT_S = 1;
const SENDS_PER_MESSAGE = 2;
/** Between the end of the time for a command and SIGTERM by runProgram itself, which then never comes first. */
const SPARE_MS = 60_000;
/**
 * A Kg key is binary, and Node.js passes texts only: the shell makes it from octal escapes on its standard input. The `x` keeps
 * line feeds at its end.
 */
const WITH_KG_KEY = 'read -r escapes; key=$(printf "${escapes}x"); IPMI_KGKEY=${key%x}; export IPMI_KGKEY; exec "$0" "$@" </dev/null';

/**
 * Runs ipmitool once. User and address are among its arguments, which everybody on this host can read; password and Kg key
 * are in its environment, which only we can.
 * @returns what it wrote to standard output.
 * @throws IpmiError when the BMC does not do it; OperationFailedError when ipmitool cannot be run or `signal` stops it.
 */
export async function runIpmitool(command: IpmitoolCommand): Promise<string> {
  const { access, timeoutMs, signal } = command;
  const deadline = AbortSignal.timeout(timeoutMs);
  const what = `BMC ${bmcName(access)}, ${command.args.join(' ')}`;
  let result: ProgramResult;
  try {
    result = await start(command, AbortSignal.any([signal, deadline]));
  } catch (error) {
    if (signal.aborted) throw new OperationFailedError(`The operation on BMC ${bmcName(access)} was stopped`, {}, signal.reason);
    if (deadline.aborted) throw new IpmiError(`${what}: ipmitool did not end within ${timeoutMs / 1_000} s`, 'passing');
    throw error;
  }
  if (result.exitCode === 0 && (command.expected?.test(result.stdout) ?? true)) return result.stdout;
  const { reason, text } = judgeIpmitool(`${result.stdout}\n${result.stderr}`);
  throw new IpmiError(`${what}: ${redact(text, access)}`, reason);
}

/** As people write it; names the BMC in messages and in our books. */
export const bmcName = ({ address, port }: Pick<IpmiAccess, 'address' | 'port'>): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;

function start({ access, cipherSuite, args, program, timeoutMs }: IpmitoolCommand, signal: AbortSignal): Promise<ProgramResult> {
  const options = {
    env: { PATH: SYSTEM_PATH, HOME: '/nonexistent', LC_ALL: 'C', IPMI_PASSWORD: access.password ?? '' },
    acceptedExitCodes: [0, 1],
    timeoutMs: timeoutMs + SPARE_MS,
    signal,
  };
  const all = [...sessionArgs(access, cipherSuite), ...args];
  if (access.hexKgKey === null) return runProgram(program, all, options);
  return runProgram('sh', ['-c', WITH_KG_KEY, program, ...all], { ...options, input: `${octalEscapes(access.hexKgKey)}\n` });
}

/** `-v` makes ipmitool say why a session is refused; more of it would tell secrets. */
function sessionArgs({ address, port, username, hexKgKey, privilegeLevel, protocolVersion }: IpmiAccess, cipherSuite: number): string[] {
  return [
    ...['-I', protocolVersion === '2.0' ? 'lanplus' : 'lan', '-H', address, '-p', String(port), '-L', privilegeLevel, '-v', '-E'],
    ...['-N', String(ANSWER_TIMEOUT_S), '-R', String(SENDS_PER_MESSAGE)],
    ...(username === null ? [] : ['-U', username]),
    ...(protocolVersion === '2.0' ? ['-C', String(cipherSuite)] : []),
    ...(hexKgKey === null ? [] : ['-K']),
  ];
}

const octalEscapes = (hex: string): string => [...Buffer.from(hex.replace(/(00)+$/, ''), 'hex')].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');

function redact(text: string, { password, hexKgKey }: IpmiAccess): string {
  return [password, hexKgKey].reduce<string>((shown, secret) => (secret ? shown.replaceAll(secret, '******') : shown), text);
}

import { BmcError } from './bmc-error.ts';

/**
 * Why ipmitool did not do it. `settings`: what `driver_info` says is wrong; `cipher suite`: the BMC does not take this one;
 * `unanswered`: it does not answer a request for a session, which some BMCs do for a cipher suite that they do not know;
 * `refused`: it answers that it will not; `passing`: the same may succeed a little later.
 */
export type IpmiReason = 'settings' | 'cipher suite' | 'unanswered' | 'refused' | 'passing';

/** A BMC that does not do what ipmitool asked it to. The message holds no secret. */
export class IpmiError extends BmcError {
  readonly reason: IpmiReason;

  constructor(message: string, reason: IpmiReason) {
    super(message, { status: null, passing: reason === 'passing' || reason === 'unanswered', mayHaveActed: reason === 'passing' });
    this.reason = reason;
  }
}

/** What ipmitool 1.8 writes (lib/ipmi_strings.c, lanplus_strings.c, lan.c, lanplus.c), the first that fits. */
const JUDGEMENTS: readonly { wrote: RegExp; reason: IpmiReason; hint: string }[] = [
  { wrote: /Address lookup for|Could not open socket/, reason: 'settings', hint: 'check ipmi_address' },
  { wrote: /Node busy|: Timeout|Out of space|BMC initialization in progress|in update mode|Destination unavailable|response could not be provided/, reason: 'passing', hint: 'the BMC is busy' },
  { wrote: /RAKP 4 message has invalid integrity check value/, reason: 'settings', hint: 'check ipmi_hex_kg_key: the BMC has another Kg key' },
  { wrote: /RAKP 2 HMAC is invalid|invalid integrity check value/, reason: 'settings', hint: 'the BMC refuses the login: check ipmi_password' },
  { wrote: /unauthorized name|Invalid user name|NULL user name not enabled/, reason: 'settings', hint: 'the BMC refuses the login: check ipmi_username, and that this user may use IPMI over LAN' },
  { wrote: /insufficient resources for|No session slot available|No slot available to support user/, reason: 'passing', hint: 'the BMC has no session left for the moment' },
  { wrote: /unauthorized role|invalid role|Requested privilege level exceeds limit|Set Session Privilege Level to \w+ failed:|Insufficient privilege level/, reason: 'settings', hint: 'check ipmi_priv_level and what this user may do on the BMC; power and boot device need OPERATOR' },
  { wrote: /Unsupported cipher suite|invalid (authentication|integrity|confidentiality) algorithm|no matching|(illegal|invalid) parameter/i, reason: 'cipher suite', hint: 'set ipmi_cipher_suite to one that the BMC offers' },
  { wrote: /Timeout in open session response/, reason: 'unanswered', hint: 'the BMC does not open a session; if it stays so, set ipmi_cipher_suite to one that the BMC offers' },
  // a BMC of version 1.5 does not answer a message whose code it cannot verify; it has answered the two messages before
  { wrote: /Activate Session command failed/, reason: 'settings', hint: 'the BMC answers no longer once it gets the password: check ipmi_password' },
  { wrote: /Authentication type .* not supported|No supported authtypes found/, reason: 'settings', hint: 'check ipmi_protocol_version and which kinds of authentication the BMC allows' },
  { wrote: /failed: \S|cmd=0x\w+ rsp=0x/, reason: 'refused', hint: 'the BMC refuses this command' },
];
/** What ipmitool tells besides, also when all is well. */
const NOISE = /^(Loading IANA|Running Get|Invalid completion code received|Discovered IPMB|Get HPM\.x|IPM Controller|Error: Unable to establish|\s*$)/;

/** What the output of a failed ipmitool means. */
export function judgeIpmitool(output: string): { reason: IpmiReason; text: string } {
  const said = output.split('\n').filter((line) => !NOISE.test(line)).map((line) => line.replace(/^> (Error: )?/, '').trim()).join('; ').slice(0, 500) || 'it does not answer';
  const { reason, hint } = JUDGEMENTS.find(({ wrote }) => wrote.test(said)) ?? { reason: 'passing', hint: 'the BMC does not answer: check its network, ipmi_address and ipmi_port' };
  return { reason, text: `${said}; ${hint}` };
}

/**
 * `dhcp-discover.mjs ADDRESS:PORT MAC CODE=HEX…`: sends a DHCP message with these options (RFC 2131; 53 is its type, `ciaddr` the
 * client's address), as a PXE ROM does, and prints the first answer as JSON: `{siaddr, file, options: {CODE: HEX}}`; `null` when nobody answers.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';

const ANSWER_TIMEOUT_MS = 8_000;
const REPEAT_MS = 1_000;
const MAGIC = 0x63825363;

const [target, mac, ...given] = process.argv.slice(2);
const [address, port] = target.split(':');
const transaction = randomInt(2 ** 32);

function message() {
  const header = Buffer.alloc(240);
  header.set([1, 1, 6, 0]); // a request, Ethernet
  header.writeUInt32BE(transaction, 4);
  header.writeUInt16BE(0x8000, 10); // to be answered by broadcast
  header.set(mac.split(':').map((octet) => Number.parseInt(octet, 16)), 28);
  header.writeUInt32BE(MAGIC, 236);
  const client = given.find((option) => option.startsWith('ciaddr='));
  if (client) header.set(Buffer.from(client.slice('ciaddr='.length), 'hex'), 12);
  const options = ['55=01033c42432b', ...given.filter((option) => option !== client)].map((option) => {
    const [code, hex] = option.split('=');
    const value = Buffer.from(hex, 'hex');
    return Buffer.concat([Buffer.from([Number(code), value.length]), value]);
  });
  return Buffer.concat([header, ...options, Buffer.from([255]), Buffer.alloc(64)]);
}

function read(answer) {
  const options = {};
  for (let at = 240; at < answer.length && answer[at] !== 255; at += answer[at] === 0 ? 1 : 2 + answer[at + 1]) {
    if (answer[at] !== 0) options[answer[at]] = answer.subarray(at + 2, at + 2 + answer[at + 1]).toString('hex');
  }
  return { siaddr: [...answer.subarray(20, 24)].join('.'), file: answer.toString('latin1', 108, 236).replace(/\0.*$/s, ''), options };
}

const socket = createSocket({ type: 'udp4', reuseAddr: true });
const finish = (answer) => {
  clearInterval(repeat);
  clearTimeout(deadline);
  console.log(JSON.stringify(answer));
  socket.close();
};
socket.on('message', (answer) => {
  if (answer[0] === 2 && answer.readUInt32BE(4) === transaction) finish(read(answer));
});
const send = () => socket.send(message(), Number(port), address);
const deadline = setTimeout(() => finish(null), ANSWER_TIMEOUT_MS);
const repeat = setInterval(send, REPEAT_MS);
socket.bind(68, () => {
  socket.setBroadcast(true);
  send();
});

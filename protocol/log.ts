import { pino, type Logger } from 'pino';

export type { Logger };

/** Names of members whose values never reach a log line, at any depth that our log objects have. */
const SECRET_MEMBERS = ['password', 'agent_token', 'agentToken', 'token', 'authorization', 'Authorization', 'secret', 'credential', 'key', 'X-Auth-Token', 'x-auth-token'];

/**
 * The one logger: JSON lines on `destination` (default: standard error), secrets replaced by `******`.
 * @param level pino's level names; `silent` for none. @param onLine gets each line as well.
 */
export function createLogger(name: string, level = 'info', destination: number | string = 2, onLine?: (line: string) => void): Logger {
  const paths = SECRET_MEMBERS.flatMap((member) => {
    const quoted = member.includes('-') ? `["${member}"]` : member;
    return [quoted, `*${member.includes('-') ? '' : '.'}${quoted}`, `*.*${member.includes('-') ? '' : '.'}${quoted}`];
  });
  const stream = pino.destination({ dest: destination, sync: true });
  const write = (line: string): void => {
    stream.write(line);
    onLine?.(line);
  };
  return pino({ name, level, redact: { paths, censor: '******' } }, onLine ? { write } : stream);
}

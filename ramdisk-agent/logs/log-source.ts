/** One member of the archive of logs. */
export interface LogSource {
  /** File name in the archive. */
  name: string;
  /** Bytes of its end that are kept. */
  limitBytes: number;
  /** @throws when it cannot be had; the archive then tells why. */
  read(): Promise<string>;
}

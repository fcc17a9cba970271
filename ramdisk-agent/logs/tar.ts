const BLOCK_BYTES = 512;

export interface TarMember {
  /** At most 99 ASCII characters. */
  name: string;
  content: Buffer;
}

/** Plain files in the ustar interchange format (POSIX.1-2017, pax, "ustar Interchange Format"), readable by their owner only. */
export function encodeTar(members: readonly TarMember[], modifiedAt: Date): Buffer {
  const padded = (content: Buffer): Buffer => Buffer.concat([content, Buffer.alloc(-content.length & (BLOCK_BYTES - 1))]);
  return Buffer.concat([...members.flatMap((member) => [encodeHeader(member, modifiedAt), padded(member.content)]), Buffer.alloc(2 * BLOCK_BYTES)]);
}

/** Offsets and lengths are the format's; numbers are octal, and the checksum is of the header with spaces in its own place. */
function encodeHeader({ name, content }: TarMember, modifiedAt: Date): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const putOctal = (value: number, offset: number, lengthBytes: number): void => void header.write(value.toString(8).padStart(lengthBytes - 1, '0'), offset);
  header.write(name, 0);
  putOctal(0o600, 100, 8);
  putOctal(0, 108, 8);
  putOctal(0, 116, 8);
  putOctal(content.length, 124, 12);
  putOctal(Math.floor(modifiedAt.getTime() / 1_000), 136, 12);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257, 'latin1');
  putOctal(header.reduce((sum, byte) => sum + byte, 0), 148, 7);
  return header;
}

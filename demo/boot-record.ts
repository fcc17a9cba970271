import { open } from 'node:fs/promises';

/** Boot code ends before the disk signature of a (protective) master boot record. */
const BOOT_CODE_BYTES = 440;
const MESSAGE = '\r\nMetalshot demo disk: this boot record only says so.\r\n\0';

/**
 * Writes boot code into sector 0, around the partition table and the boot signature that are there: 16-bit code that
 * prints a line through the BIOS and halts.
 */
export async function writeBootRecord(image: string): Promise<void> {
  const file = await open(image, 'r+');
  try {
    await file.write(bootCode(), 0, BOOT_CODE_BYTES, 0);
  } finally {
    await file.close();
  }
}

export function bootCode(): Buffer {
  const code = Buffer.from([
    0xfa, // cli
    0x31, 0xc0, // xor ax, ax
    0x8e, 0xd8, // mov ds, ax
    0x8e, 0xd0, // mov ss, ax
    0xbc, 0x00, 0x7c, // mov sp, 0x7c00
    0xfb, // sti
    0xfc, // cld
    0xbe, 0x00, 0x00, // mov si, message (filled in below)
    0xac, // next: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x09, // jz halt
    0xb4, 0x0e, // mov ah, 0x0e (teletype output)
    0xbb, 0x07, 0x00, // mov bx, 7
    0xcd, 0x10, // int 0x10
    0xeb, 0xf2, // jmp next
    0xf4, // halt: hlt
    0xeb, 0xfd, // jmp halt
  ]);
  code.writeUInt16LE(0x7c00 + code.length, 13); // the BIOS loads sector 0 at 0x7c00
  return Buffer.concat([code, Buffer.from(MESSAGE, 'latin1')], BOOT_CODE_BYTES);
}

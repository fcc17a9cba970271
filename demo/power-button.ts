/** Where QEMU's firmware puts a register of the ACPI hardware on both its machine types, `pc` and `q35` (ACPI 6.4, 4.8.3.1.2: PM1 enable). */
const PM1_ENABLE_PORT = 0x602;
const LOAD_ADDRESS = 0x400000;
const HEADERS_BYTES = 64 + 56;

/**
 * A program for Linux that ends, with exit code 0, when the machine's power button is pressed. It needs no kernel module: it
 * switches the button's event on, and looks twice a second whether it still is; Linux without its driver of the button
 * switches an event that nobody handles off when it comes (ACPICA, `acpi_ev_fixed_event_dispatch`).
 */
export function powerButtonProgram(): Buffer {
  const code = Buffer.from([
    0xb8, 172, 0, 0, 0, // mov eax, SYS_iopl
    0xbf, 3, 0, 0, 0, // mov edi, 3
    0x0f, 0x05, // syscall
    0x66, 0xba, PM1_ENABLE_PORT & 0xff, PM1_ENABLE_PORT >> 8, // mov dx, port
    0x66, 0xed, // in ax, dx
    0x80, 0xcc, 0x01, // or ah, 1
    0x66, 0xef, // out dx, ax
    0x66, 0xed, // look: in ax, dx
    0xf6, 0xc4, 0x01, // test ah, 1
    0x74, 18, // jz pressed
    0xb8, 35, 0, 0, 0, // mov eax, SYS_nanosleep
    0x48, 0x8d, 0x3d, 15, 0, 0, 0, // lea rdi, [rip + pause]
    0x31, 0xf6, // xor esi, esi
    0x0f, 0x05, // syscall
    0xeb, 0xe7, // jmp look
    0xb8, 60, 0, 0, 0, // pressed: mov eax, SYS_exit
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
    ...[0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x65, 0xcd, 0x1d, 0, 0, 0, 0], // pause: 0 s, 500,000,000 ns
  ]);
  return Buffer.concat([elfHeaders(HEADERS_BYTES + code.length), code]);
}

/** ELF-64 (System V ABI): a static program of one segment, entered right behind its headers. */
function elfHeaders(sizeBytes: number): Buffer {
  const headers = Buffer.alloc(HEADERS_BYTES);
  headers.write('\x7fELF\x02\x01\x01', 'latin1'); // 64 bits, little endian, version 1
  headers.writeUInt16LE(2, 16); // ET_EXEC
  headers.writeUInt16LE(62, 18); // EM_X86_64
  headers.writeUInt32LE(1, 20);
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS + HEADERS_BYTES), 24); // entry
  headers.writeBigUInt64LE(64n, 32); // program headers
  headers.writeUInt16LE(64, 52); // size of this header, of a program header, and how many
  headers.writeUInt16LE(56, 54);
  headers.writeUInt16LE(1, 56);
  headers.writeUInt32LE(1, 64); // PT_LOAD
  headers.writeUInt32LE(5, 68); // readable, executable
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80);
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88);
  headers.writeBigUInt64LE(BigInt(sizeBytes), 96);
  headers.writeBigUInt64LE(BigInt(sizeBytes), 104);
  headers.writeBigUInt64LE(0x1000n, 112);
  return headers;
}

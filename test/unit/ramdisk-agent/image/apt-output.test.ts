import { describe, expect, test } from '@jest/globals';
import { findLibraryPackages, parseDependencies, parsePolicy, parseUris } from '../../../../ramdisk-agent/image/apt-output.ts';

const DEPENDS = `linux-image-amd64
  Depends: linux-image-6.1.0-56-amd64
davfs2
  PreDepends: libc6
  Depends: libneon27
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
  Depends: adduser
libneon27
  Depends: libc6
  Depends: zlib1g
libc6
  Depends: libc6
debconf
  Depends: perl-base
`;

describe('what apt says', () => {
  test('of candidates: names without one are no packages', () => {
    const text = 'kmod:\n  Installed: (none)\n  Candidate: 30+20221128-1\n  Version table:\n     30+20221128-1 500\nfirmware-bnx2:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n';
    expect(parsePolicy(text)).toEqual(new Map([['kmod', '30+20221128-1']]));
  });

  test('of dependencies: libraries and the kernel are followed, programs are not', () => {
    expect(findLibraryPackages(['davfs2', 'linux-image-amd64'], parseDependencies(DEPENDS))).toEqual(['davfs2', 'libc6', 'libneon27', 'linux-image-6.1.0-56-amd64', 'linux-image-amd64', 'zlib1g']);
  });

  test('of addresses: name, version with its epoch, size and digest', () => {
    const sha256 = 'a'.repeat(64);
    expect(parseUris(`'http://deb.example/pool/busybox-static_1.35.0-4%2bdeb12u1_amd64.deb' busybox-static_1%3a1.35.0-4+deb12u1_amd64.deb 928188 SHA256:${sha256}\n'http://deb.example/x' ca-certificates_20230311_all.deb 5 MD5Sum:b\n`)).toEqual([
      { name: 'busybox-static', version: '1:1.35.0-4+deb12u1', sizeBytes: 928_188, sha256 },
    ]);
  });
});

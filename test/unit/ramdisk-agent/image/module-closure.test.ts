import { describe, expect, test } from '@jest/globals';
import { chooseModules, moduleName, parseModuleIndex } from '../../../../ramdisk-agent/image/module-closure.ts';

const FILES: Record<string, string> = {
  'modules.dep': ['kernel/drivers/nvme/host/nvme.ko: kernel/drivers/nvme/host/nvme-core.ko', 'kernel/drivers/nvme/host/nvme-core.ko: kernel/lib/t10-pi.ko', 'kernel/lib/t10-pi.ko:', 'kernel/fs/xfs/xfs.ko:', 'kernel/crypto/crc32c_generic.ko:', 'kernel/net/8021q/8021q.ko:', 'kernel/drivers/gpu/big.ko:'].join('\n'),
  'modules.builtin': 'kernel/fs/ext4/ext4.ko\n',
  'modules.alias': '# Aliases\nalias crc32c crc32c_generic\nalias pci:v00008086* big\n',
  'modules.softdep': '# Soft dependencies\nsoftdep xfs pre: crc32c\n',
};
const INDEX = parseModuleIndex((name) => FILES[name]!);

describe('the modules of a ramdisk', () => {
  test('come with what they depend on, directly or not', () => {
    expect(chooseModules(INDEX, { paths: [], names: ['nvme'] }).paths).toEqual(['kernel/drivers/nvme/host/nvme-core.ko', 'kernel/drivers/nvme/host/nvme.ko', 'kernel/lib/t10-pi.ko']);
  });

  test('come with what is loaded by a request at run time: soft dependencies, by alias too', () => {
    expect(chooseModules(INDEX, { paths: ['fs/xfs/'], names: [] }).paths).toEqual(['kernel/crypto/crc32c_generic.ko', 'kernel/fs/xfs/xfs.ko']);
  });

  test('may be built in', () => {
    expect(chooseModules(INDEX, { paths: ['fs/ext4/'], names: ['ext4'] })).toEqual({ paths: [], absent: [] });
  });

  test('that no kernel file matches are named', () => {
    expect(chooseModules(INDEX, { paths: ['drivers/ata/'], names: ['hpsa', '8021q'] })).toEqual({ paths: ['kernel/net/8021q/8021q.ko'], absent: ['drivers/ata/', 'hpsa'] });
  });

  test('have one name, however it is written', () => {
    expect(['dm-mod', 'dm_mod', 'kernel/drivers/md/dm-mod.ko'].map(moduleName)).toEqual(['dm_mod', 'dm_mod', 'dm_mod']);
  });
});

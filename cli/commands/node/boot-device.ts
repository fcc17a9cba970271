import { segment } from '../../api-client.ts';
import { NODE_POSITIONAL, type Command } from '../../command.ts';
import { plainText } from '../../output.ts';

const pathOf = (ident: string): string => `/v1/nodes/${segment(ident)}/management/boot_device`;

const setBootDevice: Command = {
  words: 'node boot device set',
  summary: 'Set what a node boots from next',
  positionals: [NODE_POSITIONAL, { name: 'device', describe: 'Boot device', choices: ['bios', 'cdrom', 'disk', 'pxe', 'safe', 'wanboot'] }],
  options: { persistent: { kind: 'flag', describe: 'For all boots to come' } },
  examples: [['node boot device set web-1 disk --persistent', 'From its disk, always']],
  async run({ api }, args) {
    await api.request('PUT', pathOf(args.required('node')), { body: { boot_device: args.required('device'), persistent: args.flag('persistent') === true } });
  },
};

const showBootDevice: Command = {
  words: 'node boot device show',
  summary: 'Show what a node boots from next',
  positionals: [NODE_POSITIONAL],
  options: { supported: { kind: 'flag', describe: 'What it could boot from instead' } },
  examples: [['node boot device show web-1 --supported', 'The choices']],
  async run({ api, output }, args) {
    const path = pathOf(args.required('node'));
    if (!args.flag('supported')) return output.record(await api.getObject(path));
    const { supported_boot_devices: devices, ...others } = await api.getObject(`${path}/supported`);
    output.record({ ...others, supported_boot_devices: Array.isArray(devices) ? devices.map(plainText).join(', ') : devices });
  },
};

export const bootDeviceCommands: readonly Command[] = [setBootDevice, showBootDevice];

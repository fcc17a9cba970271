import { describe, expect, test } from '@jest/globals';
import { judgeDavfsIndex } from '../../../ramdisk-agent/capture/davfs-index.ts';

const NAME = 'image.qcow2';
const SIZE = 42_270_720;

/** A file as davfs2 1.6.1 records it. */
const file = (name: string, more = ''): string => `  <d:reg>
    <d:path><![CDATA[/snapshots/abc/${name}]]></d:path>
    <d:name><![CDATA[${name}]]></d:name>
    <d:cache_path><![CDATA[/proc/self/fd/3/127.0.0.1-snapshots-abc+run-share+root/${name}-cjBRBG]]></d:cache_path>
    <d:size>${SIZE}</d:size>
    <d:smtime>1795253503(2026-11-21T09:31:43+0000)</d:smtime>
${more}    <d:mode>100644</d:mode>
  </d:reg>
`;
const REFUSED = `    <d:reg>
      <d:name><![CDATA[${NAME}-SmvEY5]]></d:name>
      <d:size>${SIZE}</d:size>
    </d:reg>
`;
const index = (files: string, backup = ''): string => `<?xml version="1.0" encoding="utf-8" ?>
<d:root xmlns:d="http://dav.sf.net/">
  <d:mode>40755</d:mode>
${files}  <d:backup>
    <d:atime>1795253503(2026-11-21T09:31:43+0000)</d:atime>
${backup}  </d:backup>
</d:root>
`;

test('an image that the server has whole, and nothing else, is a success', () => {
  expect(judgeDavfsIndex(index(file(NAME)), NAME)).toBeNull();
});

test('an earlier size in the record of a whole image is no failure: how much arrived is compared by the conductor', () => {
  expect(judgeDavfsIndex(index(file(NAME)).replace(`<d:size>${SIZE}<`, '<d:size>327680<'), NAME)).toBeNull();
});

describe('anything else is not', () => {
  test.each([
    ['an image that the server has refused', index('', REFUSED), 'left it in lost+found as image.qcow2-SmvEY5'],
    ['an image that could not be sent', index(file(NAME, '    <d:lock_expire>1795257632</d:lock_expire>\n    <d:remote_exists>1</d:remote_exists>\n    <d:dirty>1</d:dirty>\n')), 'left unsent in its cache: image.qcow2'],
    ['an image that the server never had', index(file(NAME, '    <d:remote_exists>0</d:remote_exists>\n')), 'left unsent'],
    ['no image at all', index(''), 'no record of the image'],
    ['another file', index(file('other')), 'expected only image.qcow2'],
    ['a second file', index(file(NAME) + file('other')), 'found image.qcow2, other'],
    ['a record that ends early', index(file(NAME)).slice(0, -20), 'cut off'],
    ['an empty record', '', 'cut off'],
  ])('%s', (_what, text, problem) => {
    expect(judgeDavfsIndex(text, NAME)).toContain(problem);
  });
});

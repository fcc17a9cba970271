import { describe, expect, test } from '@jest/globals';
import { readableError } from '../../../image-service/error-text.ts';
import { bounded } from '../../rig/bounded-work.ts';

describe('a refusal of the image service is shown as one readable line', () => {
  test.each([
    ['Glance in HTML', '<html>\n <head>\n  <title>409 Conflict</title>\n </head>\n <body>\n  <h1>409 Conflict</h1>\n  Image ID &#x27;x&#39; &lt;y&gt; already exists!<br /><br />\n\n\n </body>\n</html>', "Image ID 'x' <y> already exists!"],
    ['Glance in JSON', '{"message": "No image found with ID foo<br /><br />\\n\\n\\n", "code": "404 Not Found", "title": "Not Found"}', 'No image found with ID foo'],
    ['Glance in text', '410 Gone\n\nImage x could not be found after upload.\n\n   ', 'Image x could not be found after upload.'],
    ['a proxy', '<html><head><title>502 Bad Gateway</title><style>h1 { color: red }</style></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>', 'nginx'],
    ['JSON without a message', '{"title": "Forbidden"}', 'Forbidden'],
    ['text that only begins like JSON', '{nothing', '{nothing'],
    ['entities that were escaped twice', 'a &amp;lt;b', 'a &lt;b'],
    ['a page whose head is left open', '<html><head><title>404 Not Found</title><body>No such image', 'No such image'],
    ['a page with a long head', `<html><head><style>${'a { color: red }'.repeat(1000)}</style></head><body>No such image</body></html>`, 'No such image'],
    ['a page that was cut in its head', '<html><head><style>a { color: red }', ''],
    ['text with less-than signs', 'expected size <limit, found <unknown', 'expected size <limit, found <unknown'],
    ['nothing', '', ''],
  ])('%s', (_from, body, expected) => {
    expect(readableError(body)).toBe(expected);
  });

  // what takes hours by patterns that start anew at every beginning
  test.each(['<head>', '<script ', '<a', '<', '&#', '<!--', 'a\n', '400 A'])('however often it says %j', (piece) => {
    const text = piece.repeat(1024 ** 2);
    expect(bounded(() => readableError(text)).length).toBeLessThanOrEqual(300);
  });

  test('however long it is', () => {
    expect(readableError('x'.repeat(10_000)).length).toBeLessThanOrEqual(300);
  });
});

import { expect, test } from '@jest/globals';
import { rootCertificates } from 'node:tls';
import { authoritiesWith } from '../../../../conductor/images/url-origin.ts';

test('an authority of private image servers is trusted besides the public ones, not in their place', () => {
  const trusted = authoritiesWith('PEM');
  expect(trusted).toContain('PEM');
  expect(rootCertificates.length).toBeGreaterThan(0);
  expect(trusted).toEqual(expect.arrayContaining([...rootCertificates]));
});

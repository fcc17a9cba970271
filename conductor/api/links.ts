export interface Link {
  href: string;
  rel: string;
}

/** Ironic's pair of links: the resource itself, and its address without a version. */
export const linksTo = (baseUrl: string, path: string): Link[] => [
  { href: `${baseUrl}/v1/${path}`, rel: 'self' },
  { href: `${baseUrl}/${path}`, rel: 'bookmark' },
];

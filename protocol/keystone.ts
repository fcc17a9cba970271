import { z } from 'zod';

const named = z.object({ id: z.string(), name: z.string() });
const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), { error: 'expected a time' });

/** What is read of the token document of Keystone v3 (`POST` and `GET /v3/auth/tokens`); the token itself stands in `X-Subject-Token`. */
export const keystoneTokenSchema = z.object({
  token: z.object({
    user: named.extend({ domain: named.partial().optional() }),
    /** Scope: a project, a domain, the system, or none. */
    project: named.extend({ domain: named }).optional(),
    domain: named.optional(),
    system: z.object({ all: z.boolean() }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    issued_at: time,
    expires_at: time,
    /** Only where Keystone has an `admin_project_name`: whether this is that project. */
    is_admin_project: z.boolean().optional(),
    catalog: z
      .array(
        z.object({
          type: z.string(),
          endpoints: z.array(z.object({ interface: z.string(), region: z.string().nullish(), region_id: z.string().nullish(), url: z.string() })).default([]),
        }),
      )
      .default([]),
  }),
});
export type KeystoneToken = z.infer<typeof keystoneTokenSchema>['token'];

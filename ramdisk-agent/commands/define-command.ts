import type { z } from 'zod';
import { InvalidParameterError } from '../../protocol/errors.ts';
import type { JsonObject } from '../../protocol/json.ts';
import type { Command, CommandDefinition } from './command.ts';

const HIDDEN = '******';

/** Makes a command of its definition: parameters are checked by the schema, secrets are hidden from what replies show. */
export function defineCommand<Schema extends z.ZodType>(definition: CommandDefinition<Schema>): Command {
  return {
    prepare(given) {
      const parsed = definition.paramsSchema.safeParse(given);
      if (!parsed.success) throw new InvalidParameterError(`Invalid params: ${describeIssues(parsed.error)}`);
      const shown = Object.entries(given).map(([name, value]) => [name, definition.secretParams.includes(name) ? HIDDEN : value]);
      return {
        publicParams: JSON.parse(JSON.stringify(Object.fromEntries(shown))) as JsonObject,
        aside: definition.aside ?? false,
        run: (context) => definition.run(parsed.data, context),
      };
    },
  };
}

/** Every problem with the name of what has it; never the values, which may be secrets. */
export function describeIssues(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.length > 0 ? `"${issue.path.join('.')}": ` : ''}${issue.message}`).join('; ');
}

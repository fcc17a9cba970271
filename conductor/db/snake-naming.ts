import { DefaultNamingStrategy, type NamingStrategyInterface } from 'typeorm';

/** Columns are named in snake_case, as SQL people expect them; rows keep their camelCase. */
export class SnakeNaming extends DefaultNamingStrategy implements NamingStrategyInterface {
  override columnName(propertyName: string, customName: string | undefined): string {
    return customName ?? snakeCase(propertyName);
  }
}

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

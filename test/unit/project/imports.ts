import { posix } from 'node:path';
import ts from 'typescript';
import { placeOf, walk } from './source-files.ts';

/** Something that a file imports: a file of the project (path from the root) or a package. */
export interface Import {
  place: string;
  importer: string;
  target: { file: string } | { package: string };
  /** Erased by the compiler: `import type`, `export type`, `import('…').Type`. An `import { type X }` is not: the module is still loaded. */
  typeOnly: boolean;
}

export function readImports(source: ts.SourceFile): Import[] {
  return [...walk(source)].flatMap((node) => {
    const found = specifierOf(node);
    if (!found) return [];
    const { specifier, typeOnly } = found;
    const target = specifier.startsWith('.') ? { file: posix.join(posix.dirname(source.fileName), specifier) } : { package: packageOf(specifier) };
    return [{ place: placeOf(node), importer: source.fileName, target, typeOnly }];
  });
}

function specifierOf(node: ts.Node): { specifier: string; typeOnly: boolean } | undefined {
  if (ts.isImportDeclaration(node)) return textOf(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
  if (ts.isExportDeclaration(node)) return textOf(node.moduleSpecifier, node.isTypeOnly);
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return textOf(node.argument.literal, true);
  if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) return textOf(node.moduleReference.expression, node.isTypeOnly);
  if (ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || isRequire(node.expression))) return textOf(node.arguments[0], false);
  return undefined;
}

const isRequire = (callee: ts.Expression): boolean => ts.isIdentifier(callee) && callee.text === 'require';

const textOf = (specifier: ts.Node | undefined, typeOnly: boolean): { specifier: string; typeOnly: boolean } | undefined =>
  specifier && ts.isStringLiteralLike(specifier) ? { specifier: specifier.text, typeOnly } : undefined;

/** `xstate/graph` is of `xstate`, `@a/b/c` of `@a/b`; Node's own modules keep their `node:` names. */
function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

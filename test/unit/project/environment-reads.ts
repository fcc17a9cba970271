import ts from 'typescript';
import { placeOf, walk } from './source-files.ts';

const READ = ['argv', 'env', 'argv0', 'execArgv'];

/** Places where a file reads the arguments or the environment of its process. */
export function findEnvironmentReads(source: ts.SourceFile): string[] {
  return [...walk(source)].filter(isRead).map(placeOf);
}

function isRead(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node)) return isProcess(node.expression) && READ.includes(node.name.text);
  if (ts.isElementAccessExpression(node)) return isProcess(node.expression) && !(ts.isStringLiteralLike(node.argumentExpression) && !READ.includes(node.argumentExpression.text));
  if (ts.isVariableDeclaration(node) && node.initializer && isProcess(node.initializer)) return ts.isObjectBindingPattern(node.name) && node.name.elements.some((element) => READ.includes((element.propertyName ?? element.name).getText()));
  if (ts.isImportSpecifier(node)) return READ.includes((node.propertyName ?? node.name).text) && /^(node:)?process$/.test(moduleOf(node));
  return false;
}

const isProcess = (node: ts.Expression): boolean => (ts.isIdentifier(node) && node.text === 'process') || (ts.isPropertyAccessExpression(node) && node.name.text === 'process');

function moduleOf(node: ts.ImportSpecifier): string {
  const specifier = node.parent.parent.parent;
  return ts.isImportDeclaration(specifier) && ts.isStringLiteral(specifier.moduleSpecifier) ? specifier.moduleSpecifier.text : '';
}

import ts from 'typescript';
import { readImports } from './imports.ts';
import { placeOf, walk } from './source-files.ts';

/**
 * The one way a provision state is changed: `stepFrom` decides, `changeProvisionState` asks it, `storeStep` stores. A key is
 * `file#function`; everything that does what its set names elsewhere is a second writer.
 */
const COLUMN_WRITERS = new Set([
  'conductor/db/node-store.ts#storeStep',
  'conductor/db/stored-step.ts#swapState',
  // the initial state of a new node
  'conductor/db/node-store.ts#create',
  'conductor/db/new-node.ts#rowOf',
  'conductor/api/routes/nodes.ts#newNodeFrom',
]);
const CALLERS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['storeStep', new Set(['conductor/db/node-store.ts#storeStep', 'conductor/workflow/provision-state.ts#changeProvisionState'])],
  ['swapState', new Set(['conductor/db/stored-step.ts#swapState', 'conductor/db/node-store.ts#storeStep'])],
]);
/** Where stepFrom makes a Step; nothing in its room can store one. */
const STEP_MAKER = 'state-machine/provision-states.ts';
const STEP_ROOM = 'state-machine/';

const FIELDS = ['provisionState', 'provision_state'];
/** Objects that name the field without storing it: conditions, orders, schemas, log lines, errors. */
const READING_PROPERTIES = /^(where|order|select|columns)$/;
const READING_TYPES = /^(FindOptionsWhere|NodeQuery)\b/;
const READING_CALLS = /^(find|list|count|exists|filter|where|andWhere|orWhere|setParameter|trace|debug|info|warn|error|fatal)/;
const STORING_CALLS = /^(update|updateRows|set|save|insert|insertRow|upsert|merge|assign|create|patch|saveNode)$/;
const STORING_SQL = /\b(update\s+\S+\s+set|insert\s+into)\b[^;]*\bprovision_state\b/i;

/** Every place where the file writes a provision state past the one way, with what it does. */
export function findWrites(source: ts.SourceFile): string[] {
  const importsStep = readImports(source).some(({ target }) => 'file' in target && target.file === STEP_MAKER);
  return [...walk(source)].flatMap((node) => {
    const what = columnWrite(node) ?? strangeCall(node) ?? (source.fileName.startsWith(STEP_ROOM) ? undefined : forgedStep(node, importsStep));
    return what === undefined ? [] : [`${placeOf(node)}: ${what}`];
  });
}

function columnWrite(node: ts.Node): string | undefined {
  if (isWithin(node, COLUMN_WRITERS)) return undefined;
  if (ts.isObjectLiteralElementLike(node) && FIELDS.includes(nameOf(node)) && isStored(node)) return `an object to be stored names ${nameOf(node)}`;
  if (isField(node) && isWrittenTo(node)) return 'a provision state is assigned';
  if (ts.isCallExpression(node) && /^(Reflect\.set|Object\.defineProperty)$/.test(node.expression.getText()) && isFieldName(node.arguments[1])) return 'a provision state is set by name';
  if ((ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) && STORING_SQL.test(node.getText())) return 'SQL writes provision_state';
  return undefined;
}

function strangeCall(node: ts.Node): string | undefined {
  if (!ts.isIdentifier(node) || ts.isImportSpecifier(node.parent)) return undefined;
  const callers = CALLERS.get(node.text);
  return callers && !isWithin(node, callers) ? `${node.text} is for the one way only` : undefined;
}

function forgedStep(node: ts.Node, importsStep: boolean): string | undefined {
  if (ts.isObjectLiteralExpression(node)) {
    const names = node.properties.map(nameOf);
    if (names.includes('to') && (names.includes('intentions') || node.properties.some(ts.isSpreadAssignment))) return 'a Step is made without asking the machine';
    if (importsStep && ts.isVariableDeclaration(node.parent) && isStepType(node.parent.type)) return 'a Step is made without asking the machine';
  }
  if (importsStep && (ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isTypeAssertionExpression(node)) && isStepType(node.type)) return 'something is declared to be a Step';
  return undefined;
}

/** Whether the object that the property stands in may end in the row: the nearest call, or property, around it decides; without one it may. */
function isStored(property: ts.ObjectLiteralElementLike): boolean {
  const isColumn = nameOf(property) === 'provisionState';
  if (ts.isObjectBindingPattern(property.parent)) return false;
  for (let node: ts.Node = property.parent; node.parent !== undefined; node = node.parent) {
    const around = node.parent;
    if (ts.isPropertyAssignment(around) && READING_PROPERTIES.test(nameOf(around))) return false;
    if (ts.isVariableDeclaration(around) && around.type && READING_TYPES.test(around.type.getText())) return false;
    if (ts.isNewExpression(around)) return !around.expression.getText().endsWith('Error');
    if (ts.isCallExpression(around)) return isColumn ? !READING_CALLS.test(calleeOf(around)) : STORING_CALLS.test(calleeOf(around));
    if (ts.isFunctionLike(around)) break;
  }
  return isColumn; // snake_case outside a storing call is the wire's
}

function isWrittenTo(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isBinaryExpression(parent)) return parent.left === node && parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment && parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment;
  if (ts.isDeleteExpression(parent)) return true;
  return (ts.isArrayLiteralExpression(parent) || ts.isPropertyAssignment(parent)) && isAssignmentTarget(parent);
}

/** Of a destructuring assignment: `[row.provisionState] = …`, `({ state: row.provisionState } = …)`. */
function isAssignmentTarget(node: ts.Node): boolean {
  for (let inner = node; inner.parent !== undefined && !ts.isStatement(inner); inner = inner.parent) {
    if (ts.isBinaryExpression(inner.parent)) return inner.parent.left === inner && inner.parent.operatorToken.kind === ts.SyntaxKind.EqualsToken;
  }
  return false;
}

const isField = (node: ts.Node): boolean => (ts.isPropertyAccessExpression(node) && FIELDS.includes(node.name.text)) || (ts.isElementAccessExpression(node) && isFieldName(node.argumentExpression));
const isFieldName = (node: ts.Node | undefined): boolean => node !== undefined && ts.isStringLiteralLike(node) && FIELDS.includes(node.text);
const isStepType = (type: ts.TypeNode | undefined): boolean => type?.getText() === 'Step';
const calleeOf = (call: ts.CallExpression): string => (ts.isPropertyAccessExpression(call.expression) ? call.expression.name.text : call.expression.getText());

function nameOf(property: ts.ObjectLiteralElementLike | ts.PropertyAssignment): string {
  const { name } = property;
  if (!name) return '';
  if (ts.isComputedPropertyName(name)) return ts.isStringLiteralLike(name.expression) ? name.expression.text : '';
  return ts.isIdentifier(name) || ts.isStringLiteralLike(name) ? name.text : '';
}

/** Whether the node stands in (or names) one of the functions. */
function isWithin(node: ts.Node, functions: ReadonlySet<string>): boolean {
  const file = node.getSourceFile().fileName;
  for (let around: ts.Node | undefined = node; around; around = around.parent) {
    if ((ts.isFunctionDeclaration(around) || ts.isMethodDeclaration(around)) && functions.has(`${file}#${around.name?.getText() ?? ''}`)) return true;
  }
  return false;
}

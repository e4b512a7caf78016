/**
 * What the strip step refuses: text that would mean something else in the plain build, or that type-checks and silently
 * does nothing in the coloured one. Every message is `file:line: text`; all are given at once.
 */
import { memberName, nameOf } from './names.mjs';

/** Specifiers whose functions are coloured. */
const COLOURED_SOURCE = /\.(co|sched)\.ts$|^@mmkit\/.*\/sched$/;
/** Specifiers of a built or hand-written plain file, or of a coloured entry of the own package: wrong in one build. */
const ONE_BUILD_SOURCE = /\.(gen|plain)\.ts$|^\..*[/-]sched\.ts$/;

/** The refusals of one parsed file. A `.sched.ts` file is not stripped: there only calls and imports are looked at. */
export function refusals(unit, names) {
  const found = [];
  const refuse = (node, text) => {
    const line = unit.text.slice(0, node.start).split('\n').length;
    found.push(`${unit.path}:${line}: ${text}`);
  };
  for (const error of unit.errors) refuse({ start: error.labels[0]?.start ?? 0 }, error.message);
  const stripped = unit.name.endsWith('.co.ts');
  for (const [node, parent] of unit.nodes) {
    checkCall(node, parent, unit, names, refuse);
    checkImport(node, unit, names, refuse);
    if (stripped) {
      checkFunction(node, parent, unit, refuse);
      checkYield(node, parent, unit, refuse);
      checkDeclaration(node, parent, unit, refuse);
    }
  }
  return found;
}

/** A coloured call without `yield*` makes a generator and drops it: tsc and oxlint accept that. */
function checkCall(node, parent, unit, names, refuse) {
  if (node.type !== 'CallExpression') return;
  let callee = node.callee;
  while (callee.expression) callee = callee.expression; // parentheses, `!`, `as`
  const method = callee.type === 'MemberExpression' ? memberName(callee, callee.property) : undefined;
  const coloured = method === undefined ? unit.local.has(callee.name) : names.methods.has(method);
  if (coloured && !isDelegated(node, parent, unit)) {
    refuse(node, `call of coloured '${method ?? callee.name}' without yield*`);
  }
}

/** `yield* f()`; in a file that is not stripped also `yield* f() as Task<T>`, which calls a port of both builds. */
function isDelegated(node, parent, unit) {
  if (!unit.name.endsWith('.co.ts')) {
    for (; parent.type === 'TSAsExpression'; parent = unit.nodes.parentOf.get(parent)) node = parent;
  }
  return parent.delegate === true && parent.argument === node;
}

function checkImport(node, unit, names, refuse) {
  const source = node.source?.value;
  if (node.type === 'ImportExpression' || node.type === 'TSImportType') {
    if (unit.name.endsWith('.co.ts')) refuse(node, 'import(…): its specifier is not rewritten, use a static import');
    return;
  }
  if (typeof source !== 'string') return;
  if (ONE_BUILD_SOURCE.test(source)) refuse(node, `import of '${source}': name the .co.ts or .sched.ts file`);
  const coloured = COLOURED_SOURCE.test(source);
  for (const specifier of node.specifiers ?? []) {
    const imported = nameOf(specifier.imported ?? specifier.local);
    const local = nameOf(specifier.exported ?? specifier.local);
    if (specifier.type === 'ImportNamespaceSpecifier' || specifier.type === 'ImportDefaultSpecifier') {
      if (coloured) refuse(specifier, `import the names of '${source}' one by one`);
    } else if (imported === 'Task' && local !== 'Task') {
      refuse(specifier, 'Task may not be renamed');
    } else if (names.exportedBy(unit, source).has(imported)) {
      if (!coloured)
        refuse(specifier, `'${imported}' is coloured: import it from the .co.ts, .sched.ts or /sched file`);
      else if (specifier.exported && local !== imported)
        refuse(specifier, `coloured '${imported}' exported as '${local}'`);
    }
  }
}

function checkFunction(node, parent, unit, refuse) {
  if (node.generator !== true) return;
  if (node.async) refuse(node, 'async generator');
  const type = node.returnType?.typeAnnotation;
  if (type?.typeName?.name !== 'Task') refuse(node, 'generator without the return type Task<…>');
  // `get⏎ *f() {}` is a field and a generator; without the star it is a getter.
  if (parent.type !== 'MethodDefinition') return;
  const members = unit.nodes.parentOf.get(parent).body;
  const before = members[members.indexOf(parent) - 1];
  if (before && !/[;}]$/.test(unit.text.slice(before.start, before.end)))
    refuse(parent, "generator method after a field without ';'");
}

function checkYield(node, parent, unit, refuse) {
  if (node.type !== 'YieldExpression') return;
  const point = node.argument;
  if (!node.delegate) {
    if (parent.type !== 'ExpressionStatement') refuse(node, 'the value of yield may not be used');
    // `yield P⏎(0, g)()` is one call: it would go away with the point.
    if (!isPoint(point)) refuse(node, 'yield takes one point: a name or a literal, in reads(…), writes(…) or noted(…), or alone');
    return;
  }
  if (point.type !== 'CallExpression') {
    refuse(node, 'yield* takes a call; write (yield* f()) as T');
    return;
  }
  let first = point;
  while (first.callee ?? first.object) first = first.callee ?? first.object;
  if (!/^(Identifier|ThisExpression|Super)$/.test(first.type)) {
    refuse(node, 'yield* takes a call that begins with a name: anything else may glue to the line above');
  }
  // `return yield*⏎ f()` would become `return⏎ f()`.
  if (unit.text.slice(node.start, point.start).includes('\n')) refuse(node, 'line break between yield* and its call');
}

/** A name, a literal, or `reads(sched, POINT, …)`, `writes(…)`, `noted(sched, POINT)` with arguments that the plain build may do without. */
function isPoint(node) {
  if (node?.type !== 'CallExpression') return /^(Identifier|Literal)$/.test(node?.type);
  if (!/^(reads|writes|noted)$/.test(node.callee.name) || node.optional) return false;
  const [sched, point, ...rest] = node.arguments;
  return isQuiet(sched) && isPoint(point) && rest.every(isQuiet);
}

/** An expression without effects: names, literals, members, arithmetic. */
function isQuiet(node) {
  if (node?.type === 'MemberExpression') return isQuiet(node.object) && isQuiet(node.property);
  if (node?.type === 'BinaryExpression') return isQuiet(node.left) && isQuiet(node.right);
  if (node?.type === 'TSNonNullExpression') return isQuiet(node.expression);
  return /^(Identifier|Literal|ThisExpression)$/.test(node?.type);
}

function checkDeclaration(node, parent, unit, refuse) {
  if (node.type === 'TSTypeReference') {
    const qualified = node.typeName.right?.name === 'Task';
    const whole = node.typeArguments?.params.length === 1;
    if (qualified || (node.typeName.name === 'Task' && !whole)) refuse(node, 'write Task<…>, imported by that name');
  }
  if (node.type === 'TSTypeQuery' || node.type !== 'ClassDeclaration') return;
  // State classes live in .ts files; here they would exist twice.
  const coloured = node.body.body.some((m) => m.value?.generator === true);
  if (!coloured && isExported(node, parent, unit))
    refuse(node, `class '${node.id?.name}' without generator methods: move it to a .ts file`);
}

/** True for `export class C`, `export default class` and `class C` with `export { C }`. */
function isExported(node, parent, unit) {
  if (parent.type.startsWith('Export')) return true;
  return unit.nodes.some(
    ([n, p]) => n.type === 'ExportSpecifier' && p.source === null && n.local.name === node.id.name,
  );
}

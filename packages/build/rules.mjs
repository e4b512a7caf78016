#!/usr/bin/env node
/**
 * What oxlint has no rule for; each offence is `file:line: text`, all at once, exit 1.
 *
 *   rules [ROOT]
 *
 * - No module-level mutable state and no side effects at import in `packages/NAME/src`: a machine is made and dropped
 *   whole, because the explorer makes one per schedule. Frozen constants are fine.
 * - No relative import that leaves its package or app; in `src` no `export *` and no lint rule switched off by a comment.
 * - Dependencies in package.json follow the floors that `.oxlintrc.json` gives for imports.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { parseUnit } from './names.mjs';
import { isMain, workspaceRoot } from './workspace.mjs';

/** Types whose values cannot change, so that a call may make them. */
const PRIMITIVE = /^TS(Number|String|Boolean|BigInt|Symbol)Keyword$/;
/** Top-level statements that hold no state and run nothing. */
const HARMLESS =
  /^(Import|Function|ExportDefault)Declaration$|^TS(DeclareFunction|TypeAliasDeclaration|InterfaceDeclaration)$/;

/** All offences of a workspace. */
export function offences(root) {
  const found = [];
  for (const home of globSync('{packages,apps}/*', { cwd: root }).sort()) {
    if (existsSync(join(root, home, 'package.json'))) found.push(...dependencyOffences(root, home));
    for (const path of globSync(`${home}/{src,test,bench,examples}/**/*.ts`, { cwd: root }).sort()) {
      if (path.endsWith('.gen.ts')) continue;
      const unit = parseUnit(path, basename(path), home, readFileSync(join(root, path), 'utf8'));
      found.push(...fileOffences(unit, path.startsWith('packages/') && path.startsWith(`${home}/src/`)));
    }
  }
  return found;
}

function fileOffences(unit, isSource) {
  const found = [];
  const refuse = (start, text) => found.push(`${unit.path}:${unit.text.slice(0, start).split('\n').length}: ${text}`);
  for (const [node] of unit.nodes) {
    const source = node.source?.value;
    if (typeof source === 'string' && source.startsWith('.') && leavesHome(unit, source)) {
      refuse(node.start, `relative import '${source}' leaves the package: import it by name`);
    }
  }
  if (!isSource) return found;
  const comment = /(ox|es)lint-disable/.exec(unit.text);
  if (comment) refuse(comment.index, 'a lint rule may not be switched off here');
  for (const statement of unit.nodes[0]?.[0].body ?? []) {
    const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (declared) checkTopLevel(declared, refuse);
  }
  return found;
}

/** True when a relative specifier points out of its package or app. */
function leavesHome(unit, source) {
  const path = new URL(source, `file:///${unit.path}`).pathname;
  return !path.startsWith(`/${unit.home}/`);
}

function checkTopLevel(node, refuse) {
  if (node.declare || HARMLESS.test(node.type)) return;
  if (node.type === 'ClassDeclaration') {
    for (const member of node.body.body) {
      if (member.type === 'StaticBlock') refuse(member.start, 'static block: module-level code');
      if (member.type !== 'PropertyDefinition' || !member.static) continue;
      if (!member.readonly) refuse(member.start, 'static field that is not readonly: module-level state');
      else checkValue(member.value, refuse, { type: member.typeAnnotation });
    }
  } else if (node.type === 'VariableDeclaration') {
    if (node.kind !== 'const') refuse(node.start, `module-level '${node.kind}': module-level state`);
    else for (const { id, init } of node.declarations) checkValue(init, refuse, { type: id.typeAnnotation });
  } else if (node.type === 'ExportAllDeclaration') {
    refuse(node.start, 'export the names one by one');
  } else {
    refuse(node.start, 'statement that runs at import');
  }
}

/**
 * The value of a module-level constant may not be changeable: an array or object literal, and each one inside it, is
 * frozen or `as const`; nothing is constructed; what a call gives is a primitive (by its annotation) or is frozen.
 */
function checkValue(value, refuse, { type, frozen = false, asConst = false } = {}) {
  const inside = (child) => checkValue(child, refuse, { asConst });
  switch (value?.type) {
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
    case 'ParenthesizedExpression': {
      const constant = asConst || value.typeAnnotation?.typeName?.name === 'const';
      return checkValue(value.expression, refuse, { type, frozen, asConst: constant });
    }
    case 'ArrayExpression':
    case 'ObjectExpression':
      if (!frozen && !asConst) refuse(value.start, 'changeable literal: use Object.freeze(…) or `as const`');
      return (value.elements ?? value.properties).forEach(inside);
    case 'Property':
      return inside(value.value);
    case 'ConditionalExpression':
      return [value.consequent, value.alternate].forEach(inside);
    case 'LogicalExpression':
      return [value.left, value.right].forEach(inside);
    case 'CallExpression':
      if (value.callee.object?.name === 'Object' && value.callee.property.name === 'freeze') {
        return checkValue(value.arguments[0], refuse, { frozen: true, asConst });
      }
      if (frozen || PRIMITIVE.test(type?.typeAnnotation.type)) return;
      return refuse(value.start, 'made by a call: annotate it as a primitive, or wrap the call in Object.freeze(…)');
    case 'NewExpression':
      return refuse(value.start, `new ${value.callee.name ?? '…'}: module-level state`);
    case 'Literal':
      if (/[gy]/.test(value.regex?.flags)) refuse(value.start, 'a regular expression with g or y keeps lastIndex');
      return;
    case 'AssignmentExpression':
    case 'UpdateExpression':
    case 'AwaitExpression':
      return refuse(value.start, 'code that runs at import');
    default: // numbers, strings, names, arithmetic, functions, classes
  }
}

/** A package may depend only on what the import rule of its floor allows; `.oxlintrc.json` is the one table. */
function dependencyOffences(root, home) {
  const text = readFileSync(join(root, home, 'package.json'), 'utf8');
  const manifest = JSON.parse(text);
  if (manifest.private) return [];
  const lint = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8'));
  const floor = lint.overrides.find((o) => o.files.includes(`${home}/**`))?.rules['no-restricted-imports']?.[1];
  if (floor === undefined) return [`.oxlintrc.json:1: no floor for ${home}`];
  const allowed = floor.patterns[0].group;
  return ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']
    .flatMap((kind) => Object.keys(manifest[kind] ?? {}))
    .filter((name) => name.startsWith('@mmkit/') && !allowed.includes(`!${name}`))
    .map((name) => {
      const line = text.slice(0, text.lastIndexOf(`"${name}"`)).split('\n').length;
      return `${home}/package.json:${line}: depends on ${name}: ${floor.patterns[0].message}`;
    });
}

if (isMain(import.meta.url)) {
  const found = offences(workspaceRoot(process.argv[2]));
  for (const offence of found) console.error(offence);
  if (found.length > 0) process.exit(1);
}

/**
 * Which names are coloured (their call makes a generator): found by name in all `.co.ts` and `.sched.ts` files, because
 * there is no type checker here. Functions count in the package that declares them, methods and fields everywhere.
 */
import { parseSync } from 'oxc-parser';

/** Parses a file once and lists its nodes, parents first, as [node, parent]; `nodes.parentOf` maps a node to its parent. */
export function parseUnit(path, name, home, text) {
  const { program, errors } = parseSync(name, text);
  const nodes = [];
  nodes.parentOf = new Map();
  const walk = (node, parent) => {
    nodes.push([node, parent]);
    nodes.parentOf.set(node, parent);
    for (const key in node) {
      const value = node[key];
      if (Array.isArray(value)) value.forEach((child) => child?.type && walk(child, node));
      else if (typeof value?.type === 'string') walk(value, node);
    }
  };
  if (errors.length === 0) walk(program, null);
  return { path, name, home, text, nodes, errors, local: new Set() };
}

/** True for the type `Task<X>`. */
export function isTask(node) {
  return node?.type === 'TSTypeReference' && node.typeName.name === 'Task' && node.typeArguments?.params.length === 1;
}

/** The name of a member, a call's callee or an import, where the source spells it out. */
export function nameOf(node) {
  if (node?.type === 'Identifier') return node.name;
  if (node?.type === 'PrivateIdentifier') return `#${node.name}`;
  return typeof node?.value === 'string' ? node.value : undefined;
}

/** The name that a member has, or undefined when it is computed from something that is not a string. */
export function memberName(node, key) {
  return node.computed && key.type === 'Identifier' ? undefined : nameOf(key);
}

/** The names found so far. */
export class Names {
  /** Folder of a package or app → names of its coloured functions. */
  functions = new Map();
  /** Coloured methods, fields and interface members of all files. */
  methods = new Set();
  /** Types of coloured functions: aliases and interfaces with a call signature. */
  types = new Set();

  /** The coloured functions that `source`, imported by `unit`, may give. */
  exportedBy(unit, source) {
    const scoped = /^@mmkit\/([^/]+)/.exec(source);
    const home = scoped ? `packages/${scoped[1]}` : source.startsWith('.') ? unit.home : undefined;
    return this.functions.get(home) ?? new Set();
  }

  /** True when a value of this type is a coloured function. */
  isColoured(type) {
    switch (type?.type) {
      case 'TSTypeAnnotation':
      case 'TSParenthesizedType':
        return this.isColoured(type.typeAnnotation);
      case 'TSFunctionType':
        return returnsTask(type);
      case 'TSTypeReference':
        return this.types.has(type.typeName.name);
      case 'TSUnionType':
      case 'TSIntersectionType':
        return type.types.some((t) => this.isColoured(t));
      default:
        return false;
    }
  }

  count() {
    let count = this.methods.size + this.types.size;
    for (const set of this.functions.values()) count += set.size;
    return count;
  }
}

/** True when the return annotation of a function, method or function type is `Task<…>`, alone or in a union. */
function returnsTask(node) {
  const type = node?.returnType?.typeAnnotation;
  return isTask(type) || (type?.type === 'TSUnionType' && type.types.some(isTask));
}

const isColouredFunction = (node) => node?.generator === true || returnsTask(node);

/** Collects the coloured names of all files; `unit.local` gets those that a file itself may call without a dot. */
export function collectNames(units) {
  const names = new Names();
  for (const unit of units) names.functions.set(unit.home, names.functions.get(unit.home) ?? new Set());
  let before;
  do {
    before = names.count();
    for (const unit of units) collect(unit, names);
  } while (names.count() > before); // an alias may stand in a file that was read after its user
  return names;
}

function collect(unit, names) {
  const topLevel = (parent) => parent.type === 'Program' || parent.type.startsWith('Export');
  const addFunction = (name, isTop) => {
    unit.local.add(name);
    if (isTop) names.functions.get(unit.home).add(name);
  };
  for (const [node, parent] of unit.nodes) {
    const key = node.key && memberName(node, node.key);
    if (node.type === 'FunctionDeclaration' || node.type === 'TSDeclareFunction') {
      if (node.id && isColouredFunction(node)) addFunction(node.id.name, topLevel(parent));
    } else if (node.type === 'VariableDeclarator') {
      const coloured = isColouredFunction(node.init) || names.isColoured(node.id.typeAnnotation);
      if (coloured && node.id.name) addFunction(node.id.name, topLevel(unit.nodes.parentOf.get(parent)));
    } else if (node.type === 'Identifier') {
      if (names.isColoured(node.typeAnnotation)) unit.local.add(node.name);
    } else if (node.type === 'TSTypeAliasDeclaration') {
      if (names.isColoured(node.typeAnnotation)) names.types.add(node.id.name);
    } else if (node.type === 'TSCallSignatureDeclaration') {
      const owner = unit.nodes.parentOf.get(parent);
      if (returnsTask(node) && owner.id) names.types.add(owner.id.name);
    } else if (node.type === 'ImportSpecifier') {
      const imported = nameOf(node.imported);
      if (names.types.has(imported)) names.types.add(node.local.name);
      if (names.exportedBy(unit, parent.source.value).has(imported)) unit.local.add(node.local.name);
    } else if (parent?.type === 'ObjectPattern' && node.type === 'Property') {
      const target = node.value.left ?? node.value;
      if (names.methods.has(key) && target.name) unit.local.add(target.name);
    } else if (key !== undefined) {
      const gives = node.kind === 'get' && names.isColoured((node.value ?? node).returnType);
      if (
        isColouredFunction(node) ||
        isColouredFunction(node.value) ||
        names.isColoured(node.typeAnnotation) ||
        gives
      ) {
        names.methods.add(key);
      }
    }
  }
}

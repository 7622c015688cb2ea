/**
 * No field is forgotten at a checkpoint: the sources of the kernel model are read for what can change, and each is put back by the `keep` of
 * its class, or stands in a list here, with the reason.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../src/linux', import.meta.url));

/** Fields that no checkpoint keeps. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'Blocks.#slabs': 'memory that has grown stays',
  'Blocks.#clean': 'only grows: what is below is made zero before it is used',
  'Lock.#writer': 'locks are free at a checkpoint; tasks know those that they have taken since',
  'Lock.#readers': 'likewise',
  'Lock.#leaked': 'likewise',
  'Mm.#mmu': 'a view of the tables, made when somebody wants to look; its caches are emptied',
  'Machine.trace': 'of who looks on, who goes on looking',
  'Machine.#kernel': 'one of the threads',
  'Machine.#wasKept': 'that there was a checkpoint, stays',
  'Tables.#words': 'a view of the memory, made anew where it has grown',
  'Tables.#made': 'that there was a checkpoint, stays',
  'Tables.markedUnseen': 'that somebody else has a processor, stays',
  'GupScan.#list': 'room, where nothing is kept between two calls',
  'LeafScan.#list': 'likewise',
};

/** Classes whose objects have no state between two calls, or are what checkpoints are made of. */
const STATELESS: Readonly<Record<string, string>> = {
  Checkpoint: 'a checkpoint',
  WrittenPieces: 'what a checkpoint asks',
  LeafCursor: 'of a path',
  PageVmaMappedWalk: 'of a path',
  MmuGather: 'of a path',
  Walk: 'of a processor',
  Processor: 'of a search, which resets it at each execution',
  CoreList: 'room for lists, where nothing is kept between two calls',
};

/** Interfaces of objects that change, and modules that have a state of their own. */
const RECORDS: Readonly<Record<string, string>> = {
  PipeBuffer: 'kept by its pipe',
  GupCursor: 'of a path',
  FastWalk: 'of a path',
  Locked: 'of a path',
  Mapped: 'of a check',
  MremapEvents: 'of a path',
  Userfault: 'of a path that waits: nobody does at a checkpoint',
  UffdEvent: 'likewise',
  Traced: 'a machine',
  TaskMachine: 'a machine',
};
const MODULES: Readonly<Record<string, string>> = {
  'base/checkpoint.ts: epoch': 'counts checkpoints',
  'base/watch.ts: watch': 'of who looks on',
  'mm/core-list.ts: lists': 'room for lists',
};

const sources = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort()
  .map((name) => {
    const text = readFileSync(join(ROOT, name), 'utf8');
    return { name, source: ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true) };
  });

/** Everything of a kind in a source. */
function all<T extends ts.Node>(within: ts.Node, is: (node: ts.Node) => node is T): T[] {
  const found: T[] = [];
  const visit = (node: ts.Node): void => {
    if (is(node)) found.push(node);
    ts.forEachChild(node, visit);
  };
  visit(within);
  return found;
}

const classes = sources.flatMap(({ source }) => all(source, ts.isClassDeclaration));
/** Those whose objects a checkpoint keeps, or asks whether they are free. */
const owned = new Set(['Lock', ...classes.filter(keepOf).map(({ name }) => name!.text)]);

function has(node: ts.HasModifiers, kind: ts.SyntaxKind): boolean {
  return node.modifiers?.some((modifier) => modifier.kind === kind) ?? false;
}

/** The methods that keep: `keep`, and private ones that it is made of. */
function keepOf(declaration: ts.ClassDeclaration): ts.MethodDeclaration[] | undefined {
  const found = declaration.members.filter(
    (member): member is ts.MethodDeclaration => ts.isMethodDeclaration(member) && /^#?keep/.test(member.name.getText()),
  );
  return found.some(({ name }) => name.getText() === 'keep') ? found : undefined;
}

function fieldsOf(declaration: ts.ClassDeclaration): ts.PropertyDeclaration[] {
  return declaration.members.filter(
    (member): member is ts.PropertyDeclaration =>
      ts.isPropertyDeclaration(member) && !has(member, ts.SyntaxKind.StaticKeyword),
  );
}

/** What `this.field` is made of, where it is declared or in the constructor. */
function madeOf(declaration: ts.ClassDeclaration, field: ts.PropertyDeclaration): ts.Expression[] {
  const assigned = all(declaration, ts.isBinaryExpression).filter(
    ({ left, operatorToken }) =>
      operatorToken.kind === ts.SyntaxKind.EqualsToken && isOfThis(left, field.name.getText()),
  );
  return [...(field.initializer ? [field.initializer] : []), ...assigned.map(({ right }) => right)];
}

function isOfThis(node: ts.Node, name: string): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    node.expression.kind === ts.SyntaxKind.ThisKeyword &&
    node.name.getText() === name
  );
}

/** A list, a map or a set that is made here, or an object that is kept: what it holds can change, though the field cannot. */
function holdsState(declaration: ts.ClassDeclaration, field: ts.PropertyDeclaration): boolean {
  return madeOf(declaration, field).some((made) => {
    if (ts.isArrayLiteralExpression(made)) return true;
    if (!ts.isNewExpression(made)) return false;
    const type = made.expression.getText();
    return owned.has(type) || /^(Map|Set|WeakMap|WeakSet|Array|WrittenPieces|\w+Array)$/.test(type);
  });
}

/** Whether a field is put back: it is written in a function that a `keep` returns, or for what it holds mentioned in a `keep`. */
function isKept(methods: readonly ts.MethodDeclaration[], field: ts.PropertyDeclaration, readonly: boolean): boolean {
  const name = field.name.getText();
  if (readonly)
    return methods.some((method) => all(method, ts.isPropertyAccessExpression).some((node) => isOfThis(node, name)));
  return methods
    .flatMap((method) => all(method, ts.isArrowFunction))
    .flatMap((putBack) => all(putBack, ts.isBinaryExpression))
    .some(({ left, operatorToken }) => operatorToken.kind === ts.SyntaxKind.EqualsToken && isOfThis(left, name));
}

/** Fields that can change, or hold what can, and what is done about them: 'kept', or not. */
function states(): { readonly name: string; readonly of: string; readonly kept: boolean }[] {
  return classes.flatMap((declaration) => {
    const of = declaration.name!.text;
    const methods = keepOf(declaration) ?? [];
    return fieldsOf(declaration).flatMap((field) => {
      const readonly = has(field, ts.SyntaxKind.ReadonlyKeyword);
      if (readonly && !holdsState(declaration, field)) return [];
      return [{ name: `${of}.${field.name.getText()}`, of, kept: isKept(methods, field, readonly) }];
    });
  });
}

/** Interfaces with a member that can change. */
function records(): string[] {
  const isMutable = (member: ts.TypeElement): boolean =>
    ts.isPropertySignature(member) &&
    !has(member, ts.SyntaxKind.ReadonlyKeyword) &&
    member.type !== undefined &&
    !ts.isFunctionTypeNode(member.type);
  return sources
    .flatMap(({ source }) => all(source, ts.isInterfaceDeclaration))
    .filter(({ members }) => members.some(isMutable))
    .map(({ name }) => name.text);
}

/** Variables of modules, and what modules remember of objects. */
function modules(): string[] {
  const isState = ({ initializer, parent }: ts.VariableDeclaration): boolean =>
    (parent.flags & ts.NodeFlags.Const) === 0 ||
    (initializer !== undefined && ts.isNewExpression(initializer) && /^Weak/.test(initializer.expression.getText()));
  return sources.flatMap(({ name, source }) =>
    source.statements
      .filter(ts.isVariableStatement)
      .flatMap(({ declarationList }) => declarationList.declarations.filter(isState))
      .map((declaration) => `${name}: ${declaration.name.getText()}`),
  );
}

describe('what can change is put back', () => {
  test('each field of each class', () => {
    const forgotten = states().filter(({ name, of, kept }) => !kept && !(name in EXCEPTIONS) && !(of in STATELESS));
    expect(forgotten.map(({ name }) => name)).toEqual([]);
  });

  test('each object that is of no class', () => {
    expect(records().filter((name) => !(name in RECORDS))).toEqual([]);
  });

  test('each variable of a module', () => {
    expect(modules().filter((name) => !(name in MODULES))).toEqual([]);
  });
});

test('what the exceptions are about is there, and is not put back', () => {
  const loose = states().filter(({ kept }) => !kept);
  const names = new Set([...loose.flatMap(({ name, of }) => [name, of]), ...records(), ...modules()]);
  const exceptions = { ...EXCEPTIONS, ...STATELESS, ...RECORDS, ...MODULES };
  expect(Object.keys(exceptions).filter((name) => !names.has(name))).toEqual([]);
});

/**
 * What an entry of the package declares that takes arguments: functions, classes to be made, methods of all classes. It is read from the
 * sources, since most classes of hugewalk/linux are exported as types alone. What is `@internal` is left out, as it is in the declarations
 * of the package.
 */
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const OPTIONS: ts.CompilerOptions = {
  noLib: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  allowImportingTsExtensions: true,
  noEmit: true,
};

/** What an entry declares, as rows name it: `translate`, `new Machine`, `Machine.hstate`. @param entry relative to src/ */
export function declaredCalls(entry: string): string[] {
  const path = fileURLToPath(new URL(`../../src/${entry}`, import.meta.url));
  const program = ts.createProgram([path], OPTIONS);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)!;
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
    const { name } = exported;
    if (symbol.flags & ts.SymbolFlags.Function) return takesArguments(symbol) ? [name] : [];
    if (!(symbol.flags & ts.SymbolFlags.Class)) return [];
    /* What an abstract one has, those that extend it have. */
    if (symbol.declarations?.some((one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Abstract)) return [];
    const ofItself = symbol.exports ? [...symbol.exports.values()] : [];
    const ofObjects = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
    const methods = [...ofItself, ...ofObjects].filter(takesArguments).map((method) => `${name}.${method.name}`);
    const made = symbol.members?.get(ts.InternalSymbolName.Constructor);
    return !exported.declarations?.some(isType) && made && takesArguments(made) ? [`new ${name}`, ...methods] : methods;
  });
}

/** Those that no row is about: rows are named after a call, or after a call and what it is about, `mmap: file`. */
export function withoutRow(calls: readonly string[], rows: readonly { readonly name: string }[]): string[] {
  const named = new Set(rows.map(({ name }) => name.replace(/: .*/, '')));
  return calls.filter((call) => !named.has(call));
}

function isType(declaration: ts.Declaration): boolean {
  return ts.isExportSpecifier(declaration) && (declaration.isTypeOnly || declaration.parent.parent.isTypeOnly);
}

function takesArguments({ declarations = [] }: ts.Symbol): boolean {
  return declarations.some((one) => {
    const isCall = ts.isFunctionDeclaration(one) || ts.isMethodDeclaration(one) || ts.isConstructorDeclaration(one);
    return isCall && one.parameters.length > 0 && isPublic(one);
  });
}

function isPublic(declaration: ts.FunctionDeclaration | ts.MethodDeclaration | ts.ConstructorDeclaration): boolean {
  if (declaration.name && ts.isPrivateIdentifier(declaration.name)) return false;
  if (ts.getCombinedModifierFlags(declaration) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) return false;
  return !ts.getJSDocTags(declaration).some(({ tagName }) => tagName.text === 'internal');
}

import { Budget, type TemplateLimits, tooMuch } from "./budget.ts";
import { CallValues } from "./call-values.ts";
import { Interpreter, type Node, type RuntimeValue, type Scope, scopeIn } from "./engine.ts";
import { applyFilter } from "./filters.ts";
import { loopVariable } from "./loop-variable.ts";
import * as nodes from "./nodes.ts";
import { binaryOperation } from "./operators.ts";
import { known, type KnownNode, type OutputNode, type TemplateProgram } from "./program.ts";
import { stringMethod } from "./string-methods.ts";
import { templateError } from "./template-error.ts";
import { textOf } from "./text-of.ts";
import { isList, isMap, isString, isUndefined, kindOf, StringValue, undefinedValue } from "./values.ts";

/** What a turn of a loop costs beside its body: a scope, and the loop's own variable. */
const turnSteps = 10;

/** Runs a template on the engine within limits, and as Python's Jinja does where the engine differs: scopes of loops,
 *  text before `continue`, equality, white space, printed values. */
export class BoundedInterpreter extends Interpreter {
  readonly budget: Budget;
  readonly #program: TemplateProgram;
  readonly #unknown: "empty" | "error";
  #depth = 0;
  /** Set by `break` and `continue` until their loop sees it. */
  #leaving: "break" | "continue" | undefined;

  /** @param unknown what becomes of a variable that is written and that nothing sets */
  constructor(program: TemplateProgram, globals: Scope, limits: TemplateLimits, unknown: "empty" | "error" = "empty") {
    super(globals);
    this.#unknown = unknown;
    this.budget = new Budget(limits);
    this.#program = program;
  }

  /** The text that the template writes. @throws DataError `template-failed`, `template-limit`, `template-raised` */
  text(): string {
    return textOf(this.evaluate(this.#program.root, this.global));
  }

  override evaluate(node: Node | undefined, scope: Scope): RuntimeValue {
    if (node === undefined) return undefinedValue;
    if (node.type === "Known") return (node as KnownNode).known;
    const { budget } = this;
    if (++this.#depth > budget.limits.depth) throw tooMuch("depth", budget.limits);
    budget.spend(1);
    // The engine gives nothing at all for the first element of an empty list.
    const value = (this.#evaluate(node, scope) as RuntimeValue | undefined) ?? undefinedValue;
    this.#depth--;
    this.#payFor(value);
    return value;
  }

  /** Whoever uses a value works, at worst, through all of it. */
  #payFor(value: RuntimeValue): void {
    const { budget } = this;
    if (isString(value)) {
      if (value.value.length > budget.limits.characters) throw tooMuch("characters", budget.limits);
      budget.read(value.value.length);
    } else if (isList(value)) {
      if (value.value.length > budget.limits.listLength) throw tooMuch("listLength", budget.limits);
      budget.spend(value.value.length / 32);
    } else if (isMap(value)) budget.spend(value.value.size / 32);
  }

  #evaluate(node: Node, scope: Scope): RuntimeValue {
    switch (node.type) {
      case "Program":
        return new StringValue(this.#block((node as nodes.Program).body, scope));
      case "Output":
        return this.#write((node as OutputNode).value, scope);
      case "If": {
        const { test, body, alternate } = node as nodes.If;
        return new StringValue(this.#block(this.#isTrue(test, scope) ? body : alternate, scope));
      }
      case "For":
        return new StringValue(this.#loop(node as nodes.For, scope));
      case "Break":
      case "Continue":
        this.#leaving = node.type === "Break" ? "break" : "continue";
        return undefinedValue;
      case "Identifier":
        return this.#lookUp((node as nodes.Identifier).value, scope);
      case "BinaryExpression":
        return this.#binary(node as nodes.Binary, scope);
      case "MemberExpression":
        return this.#member(node as nodes.Member, scope);
      case "FilterExpression": {
        const { operand, filter } = node as nodes.Filter;
        return this.#filter(this.evaluate(operand, scope), filter, scope);
      }
      case "FilterStatement": {
        const { body, filter } = node as nodes.FilterBlock;
        return this.#filter(new StringValue(this.#block(body, scope)), filter, scope);
      }
      default:
        this.budget.spend(this.#program.sizes.get(node) ?? 0);
        return super.evaluate(node, scope);
    }
  }

  #block(body: readonly Node[], scope: Scope): string {
    let text = "";
    for (const part of body) {
      const value = this.evaluate(part, scope);
      if (isString(value)) text += value.value;
      if (this.#leaving !== undefined) break;
    }
    return text;
  }

  #write(part: Node, scope: Scope): RuntimeValue {
    const value = this.evaluate(part, scope);
    if (isUndefined(value) && this.#unknown === "error") refuseUnknown(part);
    const text = textOf(value);
    this.budget.write(text.length);
    return new StringValue(text);
  }

  #isTrue(test: Node, scope: Scope): boolean {
    return this.evaluate(test, scope).__bool__().value;
  }

  #loop(node: nodes.For, scope: Scope): string {
    const { body, defaultBlock } = node;
    const items = this.#chosenItems(node, scope);
    let text = "";
    let isComplete = false;
    for (let i = 0; i < items.length; i++) {
      this.budget.spend(turnSteps);
      const inner = scopeIn(scope);
      this.#bind(node.loopvar, items[i]!, inner);
      inner.setVariable("loop", loopVariable(items, i));
      text += this.#block(body, inner);
      const leaving = this.#leaving;
      this.#leaving = undefined;
      if (leaving === "break") break;
      if (leaving === undefined) isComplete = true;
    }
    // Jinja's `else` is for loops of which no turn came to its end.
    return isComplete ? text : text + this.#block(defaultBlock, scopeIn(scope));
  }

  #chosenItems({ iterable, loopvar }: nodes.For, scope: Scope): readonly RuntimeValue[] {
    if (iterable.type !== "SelectExpression") return this.#items(this.evaluate(iterable, scope));
    const { lhs, test } = iterable as nodes.Select;
    return this.#items(this.evaluate(lhs, scope)).filter((item) => {
      this.budget.spend(turnSteps);
      const inner = scopeIn(scope);
      this.#bind(loopvar, item, inner);
      return this.#isTrue(test, inner);
    });
  }

  #items(value: RuntimeValue): readonly RuntimeValue[] {
    if (isList(value)) return value.value;
    if (isUndefined(value)) return [];
    if (isMap(value) && value.type === "ObjectValue") return [...value.value.keys()].map((key) => new StringValue(key));
    if (!isString(value)) throw templateError(`for: expected a list, got ${kindOf(value)}`);
    const characters = [...value.value];
    this.budget.list(characters.length);
    return characters.map((character) => new StringValue(character));
  }

  #bind(target: Node, item: RuntimeValue, scope: Scope): void {
    if (target.type === "Identifier") {
      scope.setVariable((target as nodes.Identifier).value, item);
      return;
    }
    const names = (target as nodes.Tuple).value;
    if (!isList(item) || item.value.length !== names.length) {
      const got = isList(item) ? `a list of ${item.value.length}` : kindOf(item);
      throw templateError(`for: expected ${names.length} values to unpack, got ${got}`);
    }
    names.forEach((name, i) => this.#bind(name, item.value[i]!, scope));
  }

  #lookUp(name: string, scope: Scope): RuntimeValue {
    let levels = 0;
    for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
      const value = at.variables.get(name);
      if (value !== undefined) return value;
      if (++levels % 16 === 0) this.budget.spend(1);
    }
    return undefinedValue;
  }

  #binary(node: nodes.Binary, scope: Scope): RuntimeValue {
    const { operator } = node;
    if (operator.value === "and" || operator.value === "or") return super.evaluate(node, scope);
    const left = this.evaluate(node.left, scope);
    const right = this.evaluate(node.right, scope);
    const value = binaryOperation(operator.value, left, right, this.budget);
    if (value !== undefined) return value;
    const operation: nodes.Binary = { ...node, left: known(left), right: known(right) };
    return super.evaluate(operation, scope);
  }

  #member({ object, property, computed }: nodes.Member, scope: Scope): RuntimeValue {
    const owner = this.evaluate(object, scope);
    if (isUndefined(owner)) {
      const name = nodes.spelling(object);
      throw templateError(`expected ${name} to have a value, it is undefined, so nothing can be read from it`);
    }
    let name = property;
    if (computed && property.type !== "SliceExpression") name = known(this.evaluate(property, scope));
    else if (computed) this.#payForSlice(owner);
    if (isString(owner) && nodes.nameIn(name) !== "") return stringMethod(owner.value, nodes.nameIn(name), this.budget);
    const access: nodes.Member = { type: "MemberExpression", object: known(owner), property: name, computed };
    return super.evaluate(access, scope);
  }

  #payForSlice(owner: RuntimeValue): void {
    if (isString(owner)) this.budget.spend(owner.value.length / 4);
    else if (isList(owner)) this.budget.spend(owner.value.length);
  }

  #filter(operand: RuntimeValue, filter: Node, scope: Scope): RuntimeValue {
    const call = filter.type === "CallExpression" ? (filter as nodes.Call) : undefined;
    const name = ((call?.callee ?? filter) as nodes.Identifier).value;
    const positional: RuntimeValue[] = [];
    const named = new Map<string, RuntimeValue>();
    const args = (call?.args ?? []).map((part): Node => {
      if (part.type === "KeywordArgumentExpression") {
        const keyword = part as nodes.KeywordArgument;
        const value = this.evaluate(keyword.value, scope);
        named.set(keyword.key.value, value);
        return { ...keyword, value: known(value) } as nodes.KeywordArgument;
      }
      if (part.type.includes("Spread")) throw templateError(`${name}: expected its arguments one by one, got * or **`);
      const value = this.evaluate(part, scope);
      positional.push(value);
      // The engine insists on seeing literals in some filters.
      return part.type === "StringLiteral" ? part : known(value);
    });
    const value = applyFilter(name, operand, new CallValues(name, positional, named), this.budget);
    if (value !== undefined) return value;
    const rest: Node = call === undefined ? filter : ({ ...call, args } as nodes.Call);
    const node: nodes.Filter = { type: "FilterExpression", operand: known(operand), filter: rest };
    return super.evaluate(node, scope);
  }
}

/** Special tokens may be missing: templates write those that a tokenizer has. */
function refuseUnknown(part: Node): void {
  if (part.type !== "Identifier") return;
  const name = (part as nodes.Identifier).value;
  if (name.endsWith("_token")) return;
  throw templateError(`it writes the variable ${name}, which nothing gives it; correct the name, or set it in the template`);
}

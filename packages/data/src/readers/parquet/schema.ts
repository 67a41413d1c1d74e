import { ConvertedTypes, FieldRepetitionTypes, ParquetTypes } from "hyparquet/src/constants.js";
import type { SchemaElement, SchemaTree } from "hyparquet";
import { integerIn, structsIn, textOf, type ThriftStruct } from "./compact-protocol.ts";

const deepest = 16;
const mostElements = 10_000;
const longestName = 1000;
const longestFixed = 1 << 20;

/** The tree of a file's columns. Of the annotations it keeps those that tell lists and maps: values come as they are
 *  stored, strings of bytes as text.
 *  @throws Error with the reason */
export function parseSchema(footer: ThriftStruct): SchemaTree {
  const structs = structsIn(footer, 2, "the schema");
  if (structs.length > mostElements) throw new Error(`the schema has more than ${mostElements} elements`);
  const elements = structs.map(parseElement);
  const tree = treeAt(elements, 0, []);
  if (tree.children.length === 0) throw new Error("it has no columns");
  if (tree.count !== elements.length) throw new Error("the schema has elements outside its tree");
  return tree;
}

function parseElement(fields: ThriftStruct): SchemaElement {
  const name = textOf(fields.get(4), "the name of a column");
  if (name === "__proto__" || name.length > longestName) throw new Error("the name of a column cannot be used");
  const children = fields.has(5) ? integerIn(fields, 5, `the number of parts of ${name}`) : 0;
  const repetition = fields.has(3)
    ? FieldRepetitionTypes[integerIn(fields, 3, `the repetition of ${name}`)]
    : "REQUIRED";
  if (repetition === undefined) throw new Error(`the repetition of ${name} is unknown`);
  if (children > 0) {
    const annotation = annotationOf(fields);
    return {
      name,
      repetition_type: repetition,
      num_children: children,
      ...(annotation && { converted_type: annotation }),
    };
  }
  const type = ParquetTypes[integerIn(fields, 1, `the type of ${name}`)];
  if (type === undefined) throw new Error(`the type of ${name} is unknown`);
  const fixed = type === "FIXED_LEN_BYTE_ARRAY" ? integerIn(fields, 2, `the length of ${name}`, 1) : 0;
  if (fixed > longestFixed) throw new Error(`the length of ${name} is ${fixed}`);
  return { name, type, repetition_type: repetition, ...(fixed > 0 && { type_length: fixed }) };
}

/** Of a group of columns: what files of today say in field 10 and files of old in field 6. */
function annotationOf(fields: ThriftStruct): "LIST" | "MAP" | undefined {
  const logical = fields.get(10);
  if (logical instanceof Map) return logical.has(3) ? "LIST" : logical.has(2) ? "MAP" : undefined;
  const converted = fields.has(6) ? ConvertedTypes[integerIn(fields, 6, "an annotation")] : undefined;
  if (converted === "LIST") return "LIST";
  return converted === "MAP" || converted === "MAP_KEY_VALUE" ? "MAP" : undefined;
}

function treeAt(elements: readonly SchemaElement[], index: number, path: string[]): SchemaTree {
  const element = elements[index];
  if (element === undefined) throw new Error("the schema ends inside its tree");
  if (path.length > deepest) throw new Error(`the columns are nested deeper than ${deepest} levels`);
  const children: SchemaTree[] = [];
  let count = 1;
  while (children.length < (element.num_children ?? 0)) {
    const child = treeAt(elements, index + count, [...path, elements[index + count]?.name ?? ""]);
    children.push(child);
    count += child.count;
  }
  return { count, element, children, path };
}

/** The paths of the columns that hold values, each from the root down. */
export function leavesOf(tree: SchemaTree): SchemaTree[][] {
  if (tree.children.length === 0) return [[tree]];
  return tree.children.flatMap((child) => leavesOf(child).map((path) => [tree, ...path]));
}

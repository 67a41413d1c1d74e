import type { PageHeader } from "hyparquet";
import { Encodings, PageTypes } from "hyparquet/src/constants.js";
import { integerIn, parseStruct, structIn, type ThriftStruct } from "./compact-protocol.ts";

/** Most values in one page. */
export const mostValues: number = 1 << 22;

/** Parses the header of a page.
 *  @returns the header, and its length in bytes  @throws BytesEnd, Error with the reason */
export function parsePageHeader(bytes: Uint8Array): { header: PageHeader; length: number } {
  const { fields, end } = parseStruct(bytes);
  const type = PageTypes[integerIn(fields, 1, "the kind of a page")];
  if (type === undefined) throw new Error("the kind of a page is unknown");
  const header: PageHeader = {
    type,
    uncompressed_page_size: integerIn(fields, 2, "the size of a page"),
    compressed_page_size: integerIn(fields, 3, "the compressed size of a page"),
  };
  if (fields.has(4)) header.crc = integerIn(fields, 4, "the checksum of a page", -(2 ** 31));
  if (type === "DATA_PAGE") {
    const data = structIn(fields, 5, "the description of a page");
    header.data_page_header = {
      num_values: valuesIn(data),
      encoding: encodingIn(data, 2),
      definition_level_encoding: encodingIn(data, 3),
      repetition_level_encoding: encodingIn(data, 4),
    };
  } else if (type === "DATA_PAGE_V2")
    header.data_page_header_v2 = parseVersion2(structIn(fields, 8, "the description of a page"));
  else if (type === "DICTIONARY_PAGE") {
    const dictionary = structIn(fields, 7, "the description of a dictionary");
    header.dictionary_page_header = { num_values: valuesIn(dictionary), encoding: encodingIn(dictionary, 2) };
  }
  return { header, length: end };
}

function parseVersion2(data: ThriftStruct): NonNullable<PageHeader["data_page_header_v2"]> {
  const values = valuesIn(data);
  const nulls = integerIn(data, 2, "the number of nulls in a page");
  if (nulls > values) throw new Error(`a page of ${values} values has ${nulls} nulls`);
  return {
    num_values: values,
    num_nulls: nulls,
    num_rows: integerIn(data, 3, "the number of rows in a page"),
    encoding: encodingIn(data, 4),
    definition_levels_byte_length: integerIn(data, 5, "the length of levels"),
    repetition_levels_byte_length: integerIn(data, 6, "the length of levels"),
    is_compressed: data.get(7) !== false,
  };
}

function valuesIn(data: ThriftStruct): number {
  const values = integerIn(data, 1, "the number of values in a page");
  if (values > mostValues) throw new Error(`a page has ${values} values, at most ${mostValues} are read`);
  return values;
}

function encodingIn(data: ThriftStruct, id: number): NonNullable<PageHeader["data_page_header"]>["encoding"] {
  const encoding = Encodings[integerIn(data, id, "the encoding of a page")];
  if (encoding === undefined) throw new Error("the encoding of a page is unknown");
  return encoding;
}

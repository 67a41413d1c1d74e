import type { TextDocument } from "../readers/read-documents.ts";
import type { EncodedTexts, TextBatchEncoder, TokenEncoder } from "../token-encoder.ts";

/** A document and its ids, without begin and end tokens. */
export interface EncodedDocument {
  readonly document: TextDocument;
  readonly ids: ArrayLike<number>;
}

/** Code units of text in a batch, unless one document has more. */
const BATCH_UNITS = 1 << 20;
/** Documents in a batch: short ones must not pile up. */
const BATCH_DOCUMENTS = 4096;

interface Batch {
  readonly documents: readonly TextDocument[];
  readonly encoded: Promise<EncodedTexts>;
}

/** Encodes documents in their order: in batches, of which one is encoded while the next is read, or one by one. */
export async function* encodeDocuments(
  documents: AsyncIterable<TextDocument>,
  tokenizer: TokenEncoder,
  batchEncoder: TextBatchEncoder | undefined,
): AsyncGenerator<EncodedDocument> {
  if (batchEncoder === undefined) {
    for await (const document of documents) yield { document, ids: tokenizer.encode(document.text) };
    return;
  }
  let ahead: Batch | undefined;
  for await (const batch of batches(documents)) {
    const encoded = batchEncoder.encode(batch.map((document) => document.text));
    // Its failure is thrown when its turn comes, and must not count as unhandled until then.
    encoded.catch(() => undefined);
    if (ahead !== undefined) yield* documentsOf(ahead);
    ahead = { documents: batch, encoded };
  }
  if (ahead !== undefined) yield* documentsOf(ahead);
}

async function* batches(documents: AsyncIterable<TextDocument>): AsyncGenerator<TextDocument[]> {
  let batch: TextDocument[] = [];
  let units = 0;
  for await (const document of documents) {
    batch.push(document);
    units += document.text.length;
    if (units < BATCH_UNITS && batch.length < BATCH_DOCUMENTS) continue;
    yield batch;
    batch = [];
    units = 0;
  }
  if (batch.length > 0) yield batch;
}

async function* documentsOf({ documents, encoded }: Batch): AsyncGenerator<EncodedDocument> {
  const { ids, starts } = await encoded;
  for (const [i, document] of documents.entries()) yield { document, ids: ids.subarray(starts[i], starts[i + 1]) };
}

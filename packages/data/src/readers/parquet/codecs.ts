import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { snappyUncompress, type CompressionCodec } from "hyparquet";

type Decompress = (input: Uint8Array, length: number) => Uint8Array;

const known: Partial<Record<CompressionCodec, Decompress>> = {
  UNCOMPRESSED: (input) => input,
  SNAPPY: (input, length) => {
    const output = new Uint8Array(length);
    snappyUncompress(input, output);
    return output;
  },
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(length, 1) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(length, 1) }),
};

/** What inflates the pages of a column; never to more than the length asked for.
 *  @throws Error for a codec that is not known */
export async function decompressorOf(codec: CompressionCodec): Promise<Decompress> {
  const decompress = known[codec];
  if (decompress !== undefined) return decompress;
  if (codec !== "ZSTD" && codec !== "LZ4_RAW") throw new Error(`its compression ${codec} is not known`);
  const { decompressLz4Raw, decompressZstd } = await import("hyparquet-compressors");
  // Without an output of its own, zstd would make one as large as the input asks for.
  return codec === "LZ4_RAW" ? decompressLz4Raw : (input, length) => decompressZstd(input, new Uint8Array(length));
}

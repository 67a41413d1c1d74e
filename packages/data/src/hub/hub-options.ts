/** How the Hugging Face hub is reached. */
export interface HubOptions {
  /** Address of the hub; `https://huggingface.co` by default, or HF_ENDPOINT. */
  readonly hubUrl?: string;
  /** Folder that downloads are kept in; DANU_CACHE or `~/.cache/danu` by default. */
  readonly cacheFolder?: string;
  /** Token for private and gated data sets; HF_TOKEN by default. */
  readonly token?: string;
  /** Takes everything from the cache; by default if HF_HUB_OFFLINE is 1. */
  readonly offline?: boolean;
  /** Told of the bytes of a file that have come, also before. */
  readonly onProgress?: (progress: { readonly file: string; readonly bytes: number; readonly of: number }) => void;
}

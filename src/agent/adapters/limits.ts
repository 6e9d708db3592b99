/** The bounds of everything that the release files of an agent do. All have defaults. */
export interface ReleaseLimits {
  /** Of a release as it is packed, and of its unpacked archive, headers included. */
  readonly archiveBytesMax: number;
  readonly archiveEntriesMax: number;
  /** Of a release after its build. */
  readonly builtBytesMax: number;
  readonly builtEntriesMax: number;
  /** Of the file that keeps what a build printed: its beginning and its end. */
  readonly buildLogBytesMax: number;
  readonly gitTimeoutMs: number;
  readonly reloadTimeoutMs: number;
  /** Releases kept in the cache that the instances of this host share, the newest used first. */
  readonly cacheReleasesMax: number;
  /** Configuration files kept for an instance besides the ones in use. */
  readonly configsMax: number;
}

export const defaultReleaseLimits: ReleaseLimits = {
  archiveBytesMax: 2 * 1_024 ** 3,
  archiveEntriesMax: 200_000,
  builtBytesMax: 10 * 1_024 ** 3,
  builtEntriesMax: 500_000,
  buildLogBytesMax: 1_024 ** 2,
  gitTimeoutMs: 600_000,
  reloadTimeoutMs: 30_000,
  cacheReleasesMax: 4,
  configsMax: 16,
};

/** What a program printed last goes into errors and reports up to this many bytes. */
export const tailBytesMax = 2_048;

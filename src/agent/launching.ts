import type { Launch } from "../../machines/process.js";
import type { ReleaseFiles } from "./ports.js";

/** Where a launched process works and what it finds in its environment. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The surroundings of a process, equal for its start and for the checks that run beside it. */
export function surroundingsOf(
  files: ReleaseFiles,
  instance: string,
  { release, config, port }: Launch,
): Surroundings {
  const { cwd, configFile } = files.places(instance, release.version, config?.version ?? null);
  return {
    cwd,
    env: {
      ...release.manifest.env,
      PORT: String(port),
      ROLLCALL_INSTANCE: instance,
      ROLLCALL_RELEASE: release.version,
      ...(config !== null && { ROLLCALL_CONFIG: config.version }),
      ...(configFile !== null && { ROLLCALL_CONFIG_FILE: configFile }),
    },
  };
}

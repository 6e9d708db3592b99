import type { DesiredApp, DesiredStatus } from "../../src/contracts/app.js";

/** What is asked of an app, under a generation. */
export function desiredApp(
  generation: number,
  desiredStatus: DesiredStatus,
  change: Partial<DesiredApp> & { readonly version?: string; readonly settings?: object } = {},
): DesiredApp {
  const { version = "1.0.0", settings = {}, ...rest } = change;
  return {
    format: 1,
    ledgerId: "m1000000000000-a",
    epoch: 1,
    app: "mail",
    generation,
    appsGeneration: generation,
    desiredStatus,
    content: { version, source: null, settings: { ...settings } },
    ...rest,
  };
}

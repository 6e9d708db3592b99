import { styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

export const paintNothing: Paint = (_style, text) => text;
const paintAlways: Paint = (style, text) => styleText(style, text, { validateStream: false });

/** Colours where a terminal shows them and nobody asked for none (`NO_COLOR`; `FORCE_COLOR` asks for them). */
export function paintFor(
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== "") return paintNothing;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR === "0" ? paintNothing : paintAlways;
  return stream.isTTY && env.TERM !== "dumb" ? paintAlways : paintNothing;
}

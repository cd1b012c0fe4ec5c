/** `matrix`: who reaches what, from the rules that the site compiles to. Asks no router. */
import { writeFileSync } from "node:fs";
import { compile } from "../../agent/core/compile.ts";
import { type Cell, type Matrix, matrixOf, type Reach } from "../../agent/core/contracts-matrix.ts";
import { openModel } from "../../agent/core/verifier/model.ts";
import { refuse } from "../../schemas/problem.ts";
import { printable } from "../args.ts";
import { matrixSvg } from "../matrix-svg.ts";
import { type Ending, finished, refused, table } from "../out.ts";
import type { Context } from "../session.ts";
import { openSubjects } from "../subject.ts";

const SHORT: Readonly<Record<Reach["verdict"], string>> = { all: "yes", some: "some", none: "-", absent: "" };

/** One word where both families agree, or where one of them is not there. */
export function cellText({ v4, v6 }: Cell): string {
  const [four, six] = [SHORT[v4.verdict], SHORT[v6.verdict]];
  if (four === six || six === "") return four;
  if (four === "") return six;
  if (six === "-") return `${four} v4`;
  return four === "-" ? `${six} v6` : `${four} v4, ${six} v6`;
}

function tableText({ rows, columns, cells }: Matrix): string {
  const cell = (from: string, to: string): string => {
    const found = cells.find((one) => one.from === from && one.to === to);
    return found === undefined ? "." : cellText(found);
  };
  return table([
    ["from \\ to", ...columns],
    ...rows.map((row) => [row, ...columns.map((column) => cell(row, column))]),
  ]);
}

/** What "some" stands for. */
function someText({ cells }: Matrix): string {
  const rows = cells.flatMap(({ from, to, v4, v6 }) =>
    [["v4", v4] as const, ["v6", v6] as const].flatMap(([family, { verdict, kinds, more }]) =>
      verdict === "some" ? [[from, "->", to, family, `${kinds.join(", ")}${more ? ", ..." : ""}`]] : [],
    ),
  );
  return rows.length === 0 ? "" : `\n${table(rows)}`;
}

/** `holdfast matrix` */
export async function matrix(context: Context): Promise<Ending> {
  const opened = await openSubjects(context);
  if (!opened.ok) return refused(opened.problems);
  const { site, routers } = opened.value;
  const svg = context.args.one("svg");
  if (svg !== undefined && routers.length > 1) {
    const names = routers.map((one) => one.input.router).join(", ");
    return refused(
      refuse("cli.no_router", "intent", `a picture is of one of ${names}: choose with --router ID`).problems,
    );
  }
  const done: (Matrix & { readonly router: string })[] = [];
  for (const { input } of routers) {
    const desired = compile(input);
    if (!desired.ok) return refused(desired.problems.map(site.locate));
    const model = openModel(desired.value);
    if (!model.ok) return refused(model.problems);
    const stop = context.voice.progress(`Asking about ${input.router}`);
    const found = matrixOf({ ...input, desired: desired.value }, model.value);
    stop();
    if (!found.ok) return refused(found.problems);
    done.push({ router: input.router, ...found.value });
  }
  if (svg !== undefined) {
    try {
      writeFileSync(svg, matrixSvg(`Who reaches what on ${done[0]!.router}`, done[0]!, cellText));
    } catch (error) {
      const said = error instanceof Error ? printable(error.message) : "";
      return refused(refuse("site.unreadable", printable(svg), said).problems);
    }
  }
  const text = done.map((one) => `${done.length > 1 ? `${one.router}\n` : ""}${tableText(one)}${someText(one)}`);
  return finished(text.join("\n"), { routers: done });
}

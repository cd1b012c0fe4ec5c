/** The matrix as a picture: one file, no script, no font that is not there. */
import type { Cell, Matrix } from "../agent/core/contracts-matrix.ts";

const ROW = 28;
const COLUMN = 132;
const LEFT = 168;
const TOP = 48;
const FILLS: Readonly<Record<string, string>> = { all: "#cfe8d5", some: "#fdebc1", none: "#f2f2f2", absent: "#ffffff" };

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Green: everything passes; yellow: some; grey: nothing. The reader sees the services when the pointer rests there. */
export function matrixSvg(title: string, { rows, columns, cells }: Matrix, say: (cell: Cell) => string): string {
  const [width, height] = [LEFT + columns.length * COLUMN + 8, TOP + rows.length * ROW + 8];
  const text = (x: number, y: number, what: string, anchor = "start"): string =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped(what)}</text>`;
  const drawn = cells.map((cell) => {
    const [x, y] = [LEFT + columns.indexOf(cell.to) * COLUMN, TOP + rows.indexOf(cell.from) * ROW];
    const verdicts = [cell.v4.verdict, cell.v6.verdict];
    const most = (["all", "some", "none"] as const).find((one) => verdicts.includes(one)) ?? "absent";
    const lists = (["v4", "v6"] as const).map((key) => `${key}: ${cell[key].kinds.join(", ") || cell[key].verdict}`);
    return `<g><title>${escaped(`${cell.from} -> ${cell.to}: ${lists.join("; ")}`)}</title><rect x="${x}" y="${y}" width="${COLUMN - 2}" height="${ROW - 2}" fill="${FILLS[most]}"/>${text(x + COLUMN / 2, y + 18, say(cell), "middle")}</g>`;
  });
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    text(8, TOP - 12, "from \\ to"),
    ...columns.map((column, i) => text(LEFT + i * COLUMN + COLUMN / 2, TOP - 12, column, "middle")),
    ...rows.map((row, i) => text(8, TOP + i * ROW + 18, row)),
    ...drawn,
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

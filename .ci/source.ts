/**
 * TypeScript text as the house rules see it: code with the insides of comments, strings and regular expressions
 * blanked (positions and lines kept), and the strings that name modules. A scanner, not a parser: it only has to
 * tell code from text.
 */

export type Import = {
  readonly specifier: string;
  readonly line: number;
  readonly lazy: boolean; // import("...") inside code, not at load time
};

export type Source = { readonly code: string; readonly imports: readonly Import[] };

const blank = (text: string): string => text.replace(/[^\n]/g, " ");

/** A slash starts a regular expression where a value may start: after an operator or a keyword, not after a value. */
function regexMayStart(before: string): boolean {
  const tail = before.trimEnd();
  if (tail === "") return true;
  if (/(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/.test(tail)) return true;
  return !/[\w$)\]}"'`]$/.test(tail);
}

/** End (exclusive) of the quoted text or regular expression that starts at `start`. */
function endOfLiteral(text: string, start: number): number {
  const quote = text[start] ?? "";
  let inClass = false;
  for (let i = start + 1; i < text.length; i += 1) {
    const char = text[i];
    if (char === "\\") i += 1;
    else if (quote === "/" && char === "[") inClass = true;
    else if (quote === "/" && char === "]") inClass = false;
    else if (char === quote && !inClass) return i + 1;
    else if (char === "\n") return i;
  }
  return text.length;
}

/** What stands at a position: its end, and what to show of it. */
type Piece = { readonly end: number; readonly shown: string };

function comment(text: string, at: number): Piece | undefined {
  const open = text.slice(at, at + 2);
  if (open !== "//" && open !== "/*") return undefined;
  const close = open === "//" ? text.indexOf("\n", at) : text.indexOf("*/", at + 2) + 2;
  const end = close < at + 2 ? text.length : close;
  return { end, shown: blank(text.slice(at, end)) };
}

/** Blanks a template up to its end or its next `${`; the code inside the braces stays visible. */
function template(text: string, at: number): Piece & { readonly opened: boolean } {
  for (let i = at; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "`") return { end: i + 1, shown: `${blank(text.slice(at, i))}\``, opened: false };
    else if (text.startsWith("${", i)) return { end: i + 2, shown: `${blank(text.slice(at, i))} {`, opened: true };
  }
  return { end: text.length, shown: blank(text.slice(at)), opened: false };
}

const lineAt = (text: string, at: number): number => text.slice(0, at).split("\n").length;

/** Splits code from text. Never fails: text that is not TypeScript gives some answer. */
export function readSource(text: string): Source {
  const imports: Import[] = [];
  const braces: boolean[] = []; // true: this brace was opened by a template
  let code = "";
  let at = 0;
  const take = (piece: Piece): void => {
    code += piece.shown;
    at = piece.end;
  };
  const resumeTemplate = (from: number): void => {
    const piece = template(text, from);
    if (piece.opened) braces.push(true);
    take(piece);
  };
  while (at < text.length) {
    const char = text[at] ?? "";
    const skipped = comment(text, at);
    if (skipped !== undefined) take(skipped);
    else if (char === '"' || char === "'") {
      const end = endOfLiteral(text, at);
      const lazy = /\bimport\s*\(\s*$/.test(code.slice(-80));
      if (lazy || /(\bfrom|\bimport)\s*$/.test(code.slice(-80))) {
        imports.push({ specifier: text.slice(at + 1, end - 1), line: lineAt(text, at), lazy });
      }
      take({ end, shown: `${char}${blank(text.slice(at + 1, end - 1))}${char}` });
    } else if (char === "`") {
      code += "`";
      resumeTemplate(at + 1);
    } else if (char === "/" && regexMayStart(code.slice(-200))) {
      const end = endOfLiteral(text, at);
      take({ end, shown: `/${blank(text.slice(at + 1, end - 1))}/` });
    } else if (char === "}" && braces.pop() === true) {
      code += "}";
      resumeTemplate(at + 1);
    } else {
      if (char === "{") braces.push(false);
      take({ end: at + 1, shown: char });
    }
  }
  return { code, imports };
}

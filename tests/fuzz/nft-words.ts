/** The words of one rule, taken one after the other. */

export class Reader {
  readonly text: string;
  readonly tokens: readonly string[];
  at = 0;

  constructor(text: string) {
    this.text = text;
    this.tokens = text.match(/"[^"]*"|\{[^}]*\}|\([^)]*\)|\S+/g) ?? [];
  }

  peek(more = 0): string {
    return this.tokens[this.at + more] ?? "";
  }

  next(): string {
    this.at += 1;
    return this.tokens[this.at - 1] ?? "";
  }

  /** Takes these words if they come next. */
  take(...words: readonly string[]): boolean {
    if (!words.every((word, i) => this.peek(i) === word)) return false;
    this.at += words.length;
    return true;
  }

  fail(): never {
    throw new Error(`the reader of tests does not know "${this.peek()}" in: ${this.text}`);
  }
}

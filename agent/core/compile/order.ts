/** Orders that depend on nothing but the bytes: no locale, no input order. */

/** By UTF-16 code unit, as `sort` without a locale does for the ASCII that Holdfast writes. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function sortedTexts(list: Iterable<string>): string[] {
  return [...new Set(list)].sort(byText);
}

export function sortedBy<T>(list: readonly T[], key: (item: T) => string): T[] {
  return [...list].sort((a, b) => byText(key(a), key(b)));
}

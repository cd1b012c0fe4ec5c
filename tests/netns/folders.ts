/** Temporary folders that go with their owner, and at the latest with this process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();

export function removeFolder(path: string): void {
  folders.delete(path);
  rmSync(path, { recursive: true, force: true });
}

// Also on a signal: world.ts turns those into an exit.
process.on("exit", () => {
  for (const path of folders) removeFolder(path);
});

/** A fresh folder `holdfast-<what>-` and six characters more, of mode 0700. */
export function temporaryFolder(what: string): string {
  const path = mkdtempSync(join(tmpdir(), `holdfast-${what}-`));
  folders.add(path);
  return path;
}

/** Joins the parts of the durable state (agent/ports.ts says what each promises). */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseProbation, probationText } from "../core/health-probation.ts";
import { parseQuarantine, quarantineText } from "../core/health-quarantine.ts";
import type { Store } from "../ports.ts";
import { makePrivateFolder, readText, sweepTemporaries, syncFolder, writeDurable, writeVolatile } from "./files.ts";
import { openBlobs } from "./store-blob.ts";
import { openDocuments } from "./store-document.ts";
import { openGenerations } from "./store-generation.ts";
import { openRecords } from "./store-record.ts";
import { openSpace } from "./store-space.ts";
import { openTokens } from "./store-token.ts";

/** Opens the state folder, making what is missing. Throws when it is open to others. */
export function openStore(folders: { readonly state: string; readonly run: string }): Store {
  const { state, run } = folders;
  makePrivateFolder(state);
  sweepTemporaries(state);
  const space = openSpace(state);
  const records = openRecords(state);
  const tokens = openTokens(state);
  const blobs = openBlobs(state, space);
  const generations = openGenerations(state);
  const documents = openDocuments(state);
  return {
    record: records.current,
    damaged: records.damaged,
    overtaken: records.overtaken,
    writeRecord: (next) => space.essential(() => records.write(next)),
    createToken: tokens.create,
    decision: tokens.decision,
    decide: (token, as) => space.essential(() => tokens.decide(token, as)),
    dropToken: tokens.drop,
    tokens: tokens.list,
    hasBlob: blobs.has,
    putChunk: blobs.putChunk,
    putDelta: blobs.putDelta,
    readBlob: blobs.read,
    putGeneration: generations.put,
    readGeneration: generations.read,
    rulesetFile: generations.rulesetFile,
    findGeneration: generations.find,
    putDocument: (kind, number, bytes) => space.essential(() => documents.put(kind, number, bytes)),
    documentNumbers: documents.numbers,
    document: documents.read,
    dropDocument: documents.drop,
    setDocumentAside: documents.setAside,
    putDirective: documents.putDirective,
    directive: documents.directive,
    directives: documents.directives,
    seeds: documents.seeds,
    enrolment: documents.enrolment,
    putEnrolment: documents.putEnrolment,
    room: space.room,
    outside: () => readText(join(state, "outside")),
    putOutside: (text) => writeDurable(join(state, "outside"), text),
    scratch(name, text) {
      const path = join(run, name);
      writeDurable(path, text);
      return path;
    },
    note: (name) => readText(join(run, name)),
    putNote: (name, text) => writeVolatile(join(run, name), text),
    quarantine() {
      try {
        const text = readText(join(state, "quarantine"));
        const entries = text === undefined ? [] : parseQuarantine(text);
        return { entries: entries ?? [], damaged: entries === undefined };
      } catch {
        // A disk that does not give it back is as bad as a damaged file, and no reason to refuse a push.
        return { entries: [], damaged: true };
      }
    },
    putQuarantine: (entries) => space.essential(() => writeDurable(join(state, "quarantine"), quarantineText(entries))),
    probation() {
      try {
        return parseProbation(readText(join(state, "probation")) ?? "");
      } catch {
        return undefined; // then the kept generation stays, whatever its first reboot shows
      }
    },
    putProbation(probation) {
      const path = join(state, "probation");
      if (probation !== null) space.essential(() => writeDurable(path, probationText(probation)));
      else if (existsSync(path)) {
        rmSync(path, { force: true });
        syncFolder(state);
      }
    },
    prune(keep) {
      generations.prune(keep.generations);
      blobs.prune(keep.blobs);
      documents.pruneDirectives(keep.directives);
    },
  };
}

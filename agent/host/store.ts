/** Joins the parts of the durable state (agent/ports.ts says what each promises). */
import { join } from "node:path";
import type { Store } from "../ports.ts";
import { makePrivateFolder, readText, writeDurable, writeVolatile } from "./files.ts";
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
    putDirective: documents.putDirective,
    directive: documents.directive,
    directives: documents.directives,
    seeds: documents.seeds,
    enrolment: documents.enrolment,
    putEnrolment: documents.putEnrolment,
    room: space.room,
    scratch(name, text) {
      const path = join(run, name);
      writeDurable(path, text);
      return path;
    },
    note: (name) => readText(join(run, name)),
    putNote: (name, text) => writeVolatile(join(run, name), text),
    prune(keep) {
      generations.prune(keep.generations);
      blobs.prune(keep.blobs);
      documents.pruneDirectives(keep.directives);
    },
  };
}

/** Every bound in one place, with its reason. Sizes are bytes unless the name says otherwise. */
export const limits = {
  /** design §14: 50,000 clients at about 250 B each, with room. */
  inventoryBytes: 16 * 1024 * 1024,
  /** design §14. */
  intentBytes: 1024 * 1024,
  /** 50,000 sealed secrets with two escrow copies each: about 400 B. */
  secretsBytes: 32 * 1024 * 1024,
  /** design §14: a directive is only digests. */
  directiveBytes: 8 * 1024,
  /** Root, roster and key reports: hundreds of operators and routers. */
  trustBytes: 256 * 1024,
  receiptBytes: 256 * 1024,
  /** One HTTP body, sealed. Larger blobs travel in chunks. */
  requestBytes: 1024 * 1024,
  chunkBytes: 512 * 1024,
  /** How long an answer may be held back until there is something to say. */
  waitS: 10,
  /** Pieces of a delta: one for each place where a blob differs. */
  deltaParts: 8192,
  /** A bundle as a file: its three blobs and the documents around them. */
  bundleBytes: 64 * 1024 * 1024,
  /** Inventory 16 MiB and its friends decode to at most this many nested messages. */
  wireElements: 1 << 20,
  /** Deepest legal nesting is Inventory > Client > Grant > ClientKey. */
  wireDepth: 8,
  signatures: 16,
  trustUpdates: 32,
  /** design §5: how far a generation may jump. */
  generationJump: 1024n,
  challengeAgeS: 120,
  challengesOutstanding: 64,
  /** How old a beacon may be, by the router's CLOCK_BOOTTIME: a week for routine changes, a day for all others. */
  beaconAgeS: 7 * 86_400,
  beaconSensitiveAgeS: 86_400,
  beaconsOutstanding: 64,
  /** Keys that revoked themselves and that a router remembers: one for each operator that a roster can hold. */
  selfRevocations: 256,
  /** Contents that a router refuses after they failed there; the oldest is forgotten first. */
  quarantine: 64,
  clients: 50_000,
  nftElements: 1 << 20,
  noteChars: 200,
  windowMinS: 10,
  windowMaxS: 3600,
} as const;

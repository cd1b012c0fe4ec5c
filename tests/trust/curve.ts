/** Edwards25519 by the textbook (RFC 8032 §5.1), slow and open, to make the keys and signatures that libsodium must refuse. */
const P = 2n ** 255n - 19n;
export const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

export type Point = readonly [x: bigint, y: bigint];

const mod = (a: bigint): bigint => ((a % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

const inverse = (a: bigint): bigint => power(a, P - 2n);
const D = mod(-121665n * inverse(121666n));
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n);

export function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const t = mod(D * mod(x1 * x2) * mod(y1 * y2));
  return [mod((x1 * y2 + y1 * x2) * inverse(1n + t)), mod((y1 * y2 + x1 * x2) * inverse(1n - t))];
}

export function multiply(scalar: bigint, point: Point): Point {
  let result: Point = [0n, 1n];
  let double = point;
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = add(result, double);
    double = add(double, double);
  }
  return result;
}

function withY(y: bigint, sign: bigint): Point | undefined {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x - square) !== 0n) x = mod(x * ROOT_OF_MINUS_ONE);
  if (mod(x * x - square) !== 0n) return undefined;
  return [(x & 1n) === sign ? x : mod(-x), y];
}

/** Little endian. */
export function readScalar(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
}

export function writeScalar(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

export const encodePoint = ([x, y]: Point): Uint8Array => writeScalar(y | ((x & 1n) << 255n));

export function readPoint(bytes: Uint8Array): Point | undefined {
  const value = readScalar(bytes);
  return withY(value & (2n ** 255n - 1n), value >> 255n);
}

export const basePoint: Point = withY(mod(4n * inverse(5n)), 0n)!;

/** The eight points of small order: any point times the group order falls among them; one of order 8 makes the rest. */
function smallOrders(): Point[] {
  for (let y = 2n; ; y += 1n) {
    const point = withY(y, 0n);
    if (point === undefined) continue;
    const small = multiply(GROUP_ORDER, point);
    if (encodePoint(multiply(4n, small)).join() === encodePoint([0n, 1n]).join()) continue;
    return Array.from({ length: 8 }, (_, n) => multiply(BigInt(n), small));
  }
}

/** In the order 0, T, 2T, … of a point T of order 8. */
export const torsion: readonly Point[] = smallOrders();

/** Every maximum in the system, with the reason beside it. A bound that is not here does not exist. */

const KIB = 1024;
const MIB = 1024 * KIB;
export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;

// Encoding
export const CBOR_DEPTH_MAX = 32; // DESIGN section 4; our deepest record has 6 levels
export const NAME_BYTES_MAX = 64; // DESIGN section 4; fits every cloud's tag value
export const LOG_FIELD_CHARS_MAX = 512; // a line stays readable; causes are short by construction

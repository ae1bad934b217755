/** What a requester can do about each refusal, in one sentence. */
import type { RefusalCode } from "../coalition/grant.ts";

const LATER = "send a new request in a while";
const AGAIN = "send a new request";
const SMALLER = "send a new request in a while, or ask for a smaller machine";

export const ADVICE: Readonly<Record<RefusalCode, string>> = {
  capacity: SMALLER,
  quota: SMALLER,
  draining: LATER,
  busy: LATER,
  unavailable: LATER,
  expired: AGAIN,
  "too-short": "send a new request with a longer --duration",
  "price-not-ours": AGAIN,
  "offer-not-ours": AGAIN,
  "above-cap": "ask for less, or for a shorter time; the provider's operator has set a cap",
  "classes-exceeded": "ask for what the request's public classes cover",
  "manifest-mismatch": "make a new request; this one's sealed part is not what it committed to",
  "image-mismatch": "make a new request; this one's sealed part is not what it committed to",
  "image-unusable": "check that --image, --image-kind and --image-digest belong together",
  "envelope-unreadable": "make a new request with the same release the coalition runs",
  superseded: AGAIN,
};

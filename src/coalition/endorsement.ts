/**
 * The operator's word that a boot key speaks for a provider: {providerId, boot key, KEM key, seq, notAfter}. The
 * boot key is born in the guest and dies with it; the ProviderId lives on because each new boot key is endorsed
 * with a higher seq. Every record of a provider carries its endorsement, so each can be judged alone.
 */
import { type Bytes32, equal, toHex } from "../base/bytes.ts";
import { encodeCanonical } from "../base/canonical.ts";
import { type SigningKey, verify } from "../base/ed25519.ts";
import { BridgeError } from "../base/errors.ts";
import { lp, sha256 } from "../base/hash.ts";
import { ENDORSEMENT_MS_MAX, ENDORSEMENTS_KNOWN_MAX } from "../base/limits.ts";
import { checkName } from "../base/names.ts";
import {
  Bytes32Schema,
  byteString,
  integer,
  type Static,
  strictObject,
  Type,
} from "../base/schema.ts";
import { providerId } from "./ids.ts";

export const EndorsementSchema = strictObject({
  operator: Bytes32Schema,
  name: Type.String({ minLength: 1, maxLength: 64 }),
  bootKey: Bytes32Schema,
  kemKey: Bytes32Schema,
  seq: integer(1),
  /** Wall clock, at most 24 h ahead when signed. */
  notAfterMs: integer(1),
  signature: byteString(64),
});
export type Endorsement = Static<typeof EndorsementSchema>;
type Terms = Omit<Endorsement, "signature">;

/** The operator endorses. Throws `bad-argument` for more than 24 hours. */
export function endorse(
  operator: SigningKey,
  network: Bytes32,
  terms: Omit<Terms, "operator">,
  nowMs: number,
): Endorsement {
  if (terms.notAfterMs - nowMs > ENDORSEMENT_MS_MAX) {
    throw new BridgeError("bad-argument", "an endorsement lasts 24 hours at most");
  }
  const full: Terms = { ...terms, operator: operator.publicKey };
  return { ...full, signature: operator.sign(signingInput(network, full)) };
}

/**
 * Checks that the endorsement holds, that it names the signer's key, and that it speaks for the provider.
 * Time is not checked here: a record is judged at its own tick (DESIGN section 5). Throws `not-endorsed`.
 */
export function checkEndorsed(
  endorsement: Endorsement,
  network: Bytes32,
  signer: Uint8Array,
  provider: Uint8Array,
): void {
  const { signature, ...terms } = endorsement;
  checkName(terms.name, "provider name");
  if (!equal(terms.bootKey, signer)) throw refused("the endorsement names another boot key");
  if (!equal(endorsedProvider(endorsement), provider))
    throw refused("the endorsement is for another provider");
  const input = signingInput(network, terms);
  const name = toHex(sha256(input, signature));
  if (known.has(name)) return;
  if (!verify(terms.operator, input, signature)) {
    throw refused("the operator's signature does not hold");
  }
  if (known.size >= ENDORSEMENTS_KNOWN_MAX) known.clear();
  known.add(name);
}

/** Endorsements whose signature held, by the hash of all that was checked: a provider's records all carry one. */
const known = new Set<string>();

export function endorsedProvider(endorsement: Endorsement): Bytes32 {
  return providerId(endorsement.operator, endorsement.name);
}

function signingInput(network: Bytes32, terms: Terms): Uint8Array {
  return lp("compute-bridge/endorsement/v1", network, encodeCanonical(terms));
}

function refused(message: string): BridgeError {
  return new BridgeError("not-endorsed", message);
}

/** The boot key as a libp2p identity: one ed25519 key is peer key and record signer (DESIGN section 5). */
import { generateKeyPairFromSeed, publicKeyFromRaw } from "@libp2p/crypto/keys";
import type { PeerId, PrivateKey } from "@libp2p/interface";
import { peerIdFromPublicKey, peerIdFromString } from "@libp2p/peer-id";
import { fromHex, toHex } from "../base/bytes.ts";
import { BridgeError } from "../base/errors.ts";
import type { PeerKey } from "./transport.ts";

export function libp2pKey(seed: Uint8Array): Promise<PrivateKey> {
  return generateKeyPairFromSeed("Ed25519", seed);
}

export function peerIdOf(peer: PeerKey): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(fromHex(peer, "peer key")));
}

/** Throws `malformed` for a peer id that is not an inlined ed25519 key. */
export function peerKeyOf(peerId: PeerId): PeerKey {
  if (peerId.type !== "Ed25519") {
    throw new BridgeError("malformed", "the peer's id is not an ed25519 key");
  }
  return toHex(peerId.publicKey.raw);
}

/** The peer id at the end of a multiaddr. Throws `malformed`. */
export function peerIdFromText(text: string): PeerId {
  try {
    return peerIdFromString(text);
  } catch (cause) {
    throw new BridgeError("malformed", `${JSON.stringify(text)} is not a peer id`, {
      cause,
      fix: "end the address in /p2p/ and the peer id",
    });
  }
}

/** Who must answer at a full multiaddr. Throws `malformed`. */
export function peerKeyIn(address: string): PeerKey {
  return peerKeyOf(peerIdFromText(address.split("/p2p/").at(-1) ?? ""));
}

/** A full multiaddr: the address and the peer that must answer there. */
export function withPeerId(address: string, publicKey: Uint8Array): string {
  return `${address}/p2p/${peerIdOf(toHex(publicKey)).toString()}`;
}

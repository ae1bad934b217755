/** One ed25519 key is peer id and record signer: the two spellings of it, and addresses that end in them. */
import { describe, expect, test } from "bun:test";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { toHex } from "../../src/base/bytes.ts";
import {
  libp2pKey,
  peerIdFromText,
  peerIdOf,
  peerKeyOf,
  withPeerId,
} from "../../src/network/identity.ts";
import { keyNamed, seedNamed } from "../support/coalition.ts";
import { codeThrownBy } from "../support/codes.ts";

describe("a peer", () => {
  const { publicKey } = keyNamed("someone");

  test("has the id of the key that signs its records", async () => {
    const id = peerIdFromPrivateKey(await libp2pKey(seedNamed("someone")));
    expect(peerKeyOf(id)).toBe(toHex(publicKey));
    expect(peerIdOf(toHex(publicKey)).equals(id)).toBe(true);
  });

  test("is found again in an address that names it", () => {
    const address = withPeerId("/dns4/m1.example/tcp/4001", publicKey);
    expect(address).toStartWith("/dns4/m1.example/tcp/4001/p2p/12D3Koo");
    expect(peerKeyOf(peerIdFromText(address.split("/p2p/")[1] ?? ""))).toBe(toHex(publicKey));
  });

  test("with another kind of key, or none, is malformed", async () => {
    const odd = peerIdFromPrivateKey(await generateKeyPair("secp256k1"));
    expect(codeThrownBy(() => peerKeyOf(odd))).toBe("malformed");
    expect(codeThrownBy(() => peerIdFromText("nobody"))).toBe("malformed");
    expect(codeThrownBy(() => peerIdFromText(""))).toBe("malformed");
    expect(codeThrownBy(() => peerIdOf("FF"))).toBe("malformed");
  });
});

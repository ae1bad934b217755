/**
 * The libp2p node behind the Transport: TCP, noise, yamux, identify, gossipsub (facts in the folder's README).
 * Gossip messages are unsigned: every record carries its own signature, and the message id is the record's hash.
 */
import { gossipsub, StrictNoSign, TopicValidatorResult } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import type { PeerId, Stream } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { asCrypto, defaultCrypto } from "@libp2p/noise/crypto";

import { yamux } from "@libp2p/yamux";
import { createLibp2p } from "libp2p";
import { type Clock, systemClock } from "../base/clock.ts";
import { BridgeError } from "../base/errors.ts";
import { sha256 } from "../base/hash.ts";
import * as limits from "../base/limits.ts";
import type { Logger } from "../base/log.ts";
import { keepDialled } from "./dial.ts";
import { answerAll, readAnswer } from "./frames.ts";
import { libp2pKey, peerIdOf, peerKeyOf } from "./identity.ts";
import { requestGate } from "./rate.ts";
import { keptStreams } from "./streams.ts";
import { abortableTcp } from "./tcp.ts";
import type {
  GossipVerdict,
  PeerKey,
  RequestHandler,
  RequestOptions,
  Transport,
} from "./transport.ts";

export interface NodeOptions {
  /** ed25519 seed of the boot key. */
  readonly seed: Uint8Array;
  readonly listen: readonly string[];
  /** Addresses to tell peers instead of the listening ones, for a host behind NAT. */
  readonly announce: readonly string[];
  /** Full multiaddrs (ending in /p2p/…) that are dialled and redialled for as long as the node lives. */
  readonly bootstrap: readonly string[];
  readonly topic: string;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface Node extends Transport {
  /** Where peers can reach this node, as full multiaddrs. */
  addresses(): readonly string[];
  /** Bars the peer for a while and drops its connections. */
  bar(peer: PeerKey): void;
  stop(): Promise<void>;
}

const VERDICTS: Record<GossipVerdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** Bun's node:crypto lacks ChaCha20-Poly1305, which noise's default crypto wants above 1,200 bytes. */
const noiseCrypto = {
  ...defaultCrypto,
  chaCha20Poly1305Encrypt: asCrypto.chaCha20Poly1305Encrypt,
  chaCha20Poly1305Decrypt: asCrypto.chaCha20Poly1305Decrypt,
};

type IsUnwelcome = (peer: PeerId) => boolean;

/** Throws `config-invalid` with every address that cannot be listened on. */
async function startLibp2p(options: NodeOptions, isUnwelcome: IsUnwelcome) {
  const failed: string[] = [];
  const onListenFailed = (address: string, error: unknown): void =>
    void failed.push(`${address} ${listenFault(error)}`);
  try {
    return await openLibp2p(options, isUnwelcome, onListenFailed);
  } catch (error) {
    if (failed.length === 0) throw error;
    throw new BridgeError("config-invalid", `network.listen: ${failed.join(", ")}`, {
      fix: "stop what uses it, or choose another address or port",
    });
  }
}

function listenFault(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "EADDRINUSE":
      return "is in use by another process";
    case "EADDRNOTAVAIL":
      return "is not an address of this host";
    case "EACCES":
      return "has a port that this user may not use";
    default:
      return `cannot be listened on: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function openLibp2p(
  options: NodeOptions,
  isUnwelcome: IsUnwelcome,
  onListenFailed: Parameters<typeof abortableTcp>[0],
) {
  return await createLibp2p({
    privateKey: await libp2pKey(options.seed),
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [abortableTcp(onListenFailed)],
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: limits.CONNECTIONS_MAX,
      inboundConnectionThreshold: limits.INBOUND_CONNECTIONS_PER_SECOND_MAX,
    },
    connectionGater: {
      denyInboundEncryptedConnection: isUnwelcome,
      denyDialPeer: isUnwelcome,
      denyDialMultiaddr: () => false, // the default refuses private addresses
    },
    services: {
      identify: identify(),
      gossip: gossipsub({
        globalSignaturePolicy: StrictNoSign,
        msgIdFn: (message) => sha256(message.data),
        allowPublishToZeroTopicPeers: true,
        maxInboundDataLength: limits.RECORD_BYTES_MAX + 1024,
        fallbackToFloodsub: false,
        // Requesters use a new identity each time, and hosts share addresses: many peers at one are no attack.
        scoreParams: { IPColocationFactorWeight: 0 },
        idontwantMinDataSize: 2 * limits.RECORD_BYTES_MAX, // never: a record is smaller than the trouble
      }),
    },
  });
}

export async function startNode(options: NodeOptions): Promise<Node> {
  const { log, topic, clock = systemClock } = options;
  const barredUntilMs = new Map<PeerKey, number>();
  const letIn = requestGate(clock, bar);
  const isUnwelcome = (peerId: PeerId): boolean =>
    peerId.type !== "Ed25519" || (barredUntilMs.get(peerKeyOf(peerId)) ?? 0) > clock.monotonicMs();

  const libp2p = await startLibp2p(options, isUnwelcome);
  const gossip = libp2p.services.gossip;
  gossip.subscribe(topic);
  const streams = keptStreams(
    (peer, protocol, signal) => libp2p.dialProtocol(peerIdOf(peer), protocol, { signal }),
    () => clock.monotonicMs(),
  );
  const stopDialling = keepDialled(libp2p, options.bootstrap, clock, log);

  return {
    self: peerKeyOf(libp2p.peerId),
    addresses: () => libp2p.getMultiaddrs().map(String),
    peers: () =>
      libp2p
        .getPeers()
        .filter((peer) => peer.type === "Ed25519")
        .map(peerKeyOf),
    request: (peer, protocol, body, how) => request(peer, protocol, body, how),
    handle,
    gossip: (bytes) =>
      void gossip
        .publish(topic, bytes)
        .catch((error: unknown) => log.debug("gossip-failed", { error })),
    onGossip(handler) {
      gossip.topicValidators.set(
        topic,
        (peerId, message) =>
          VERDICTS[peerId.type === "Ed25519" ? handler(peerKeyOf(peerId), message.data) : "reject"],
      );
    },
    onPeer(listener) {
      libp2p.addEventListener("peer:identify", (event) => {
        if (event.detail.peerId.type === "Ed25519") listener(peerKeyOf(event.detail.peerId));
      });
    },
    bar,
    async stop() {
      stopDialling();
      await libp2p.stop();
    },
  };

  function bar(peer: PeerKey): void {
    const nowMs = clock.monotonicMs();
    for (const [key, untilMs] of barredUntilMs) if (untilMs <= nowMs) barredUntilMs.delete(key);
    const oldest = barredUntilMs.keys().next().value;
    if (oldest !== undefined && barredUntilMs.size >= limits.RATE_PEERS_MAX) {
      barredUntilMs.delete(oldest);
    }
    barredUntilMs.set(peer, nowMs + limits.BAR_MS);
    void libp2p.hangUp(peerIdOf(peer)).catch(() => {});
  }

  async function request(
    peer: PeerKey,
    protocol: string,
    body: Uint8Array,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Uint8Array> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const either = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
    try {
      return readAnswer(await streams.exchange(peer, protocol, body, either));
    } catch (cause) {
      if (cause instanceof BridgeError) throw cause;
      if (timeout.aborted)
        throw new BridgeError("timeout", `no answer within ${timeoutMs} ms`, {
          cause,
          retry: "later",
        });
      throw new BridgeError("unreachable", "the peer cannot be reached", { cause, retry: "later" });
    }
  }

  function handle(protocol: string, requestBytesMax: number, handler: RequestHandler): void {
    const serve = async (stream: Stream, peerId: PeerId): Promise<void> => {
      const peer = peerKeyOf(peerId);
      try {
        await answerAll(stream, requestBytesMax, (body) => {
          letIn(peer);
          return handler(peer, body);
        });
      } catch (error) {
        stream.abort(error instanceof Error ? error : new Error("failed"));
        log.debug("request-not-served", { protocol, error });
      }
    };
    void libp2p
      .handle(protocol, (stream, connection) => void serve(stream, connection.remotePeer), {
        maxInboundStreams: limits.STREAMS_PER_PROTOCOL_MAX,
        maxOutboundStreams: limits.STREAMS_PER_PROTOCOL_MAX,
      })
      .catch((error: unknown) => log.error("protocol-not-registered", { protocol, error }));
  }
}

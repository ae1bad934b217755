/**
 * Addresses of this node as multiaddrs. The node speaks TCP and nothing else, so only /ip4, /ip6 and (to announce)
 * /dns names with a /tcp port are accepted. Who can dial an address follows the IANA special-purpose registries
 * (RFC 6890, RFC 1918, RFC 4193, RFC 6598).
 */
import { BlockList, isIP } from "node:net";
import { multiaddr } from "@multiformats/multiaddr";
import { BridgeError } from "../base/errors.ts";

export interface Address {
  /** Canonical, without a trailing slash. */
  readonly text: string;
  readonly family: "ip4" | "ip6" | "dns";
  readonly host: string;
  readonly port: number;
}

/** `wildcard` is every address of the host; `reserved` can never be dialled (documentation, multicast). */
export type Reach = "wildcard" | "loopback" | "private" | "reserved" | "public";

/** Throws `malformed`. */
export function parseListenAddress(text: string): Address {
  const address = parseAddress(text);
  if (address.family === "dns") throw refuse(text, "a node listens on an address, not on a name");
  return address;
}

/** Throws `malformed`, also for what no peer could dial. */
export function parseAnnounceAddress(text: string): Address {
  const address = parseAddress(text);
  if (address.port === 0) throw refuse(text, "peers cannot dial port 0");
  const reach = reachOf(address);
  if (reach === "wildcard") throw refuse(text, "a wildcard says nothing to a peer");
  if (reach === "reserved") throw refuse(text, "it lies in a block reserved for other uses");
  return address;
}

function parseAddress(text: string): Address {
  let parts: { name: string; value?: string }[];
  let canonical: string;
  try {
    const parsed = multiaddr(text);
    parts = parsed.getComponents();
    canonical = parsed.toString();
  } catch (cause) {
    throw refuse(text, cause instanceof Error ? cause.message : "it does not parse", cause);
  }
  if (parts.some((part) => part.name === "p2p")) {
    throw refuse(text, "the program adds /p2p and its peer id itself");
  }
  const [host, port] = parts;
  const family = familyOf(host?.name);
  if (parts.length !== 2 || family === undefined || port?.name !== "tcp") {
    throw refuse(text, "it must be an address and a /tcp port, nothing else");
  }
  return { text: canonical, family, host: host?.value ?? "", port: Number(port.value) };
}

function familyOf(protocol: string | undefined): Address["family"] | undefined {
  if (protocol === "ip4" || protocol === "ip6") return protocol;
  return protocol === "dns" || protocol === "dns4" || protocol === "dns6" ? "dns" : undefined;
}

function refuse(text: string, reason: string, cause?: unknown): BridgeError {
  return new BridgeError("malformed", `${JSON.stringify(text)}: ${reason}`, { cause });
}

/** Names are taken as public: whether they resolve is not an offline question. */
export function reachOf(address: Pick<Address, "family" | "host">): Reach {
  if (address.family === "dns") return /^localhost\.?$/i.test(address.host) ? "loopback" : "public";
  return reachOfIp(address.host);
}

export function reachOfIp(ip: string): Reach {
  const type = isIP(ip) === 6 ? "ipv6" : "ipv4";
  for (const [reach, blocks] of BLOCKS) if (blocks.check(ip, type)) return reach;
  return "public";
}

function blockList(...subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [net = "", bits] = subnet.split("/");
    list.addSubnet(net, Number(bits), isIP(net) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

const BLOCKS: readonly (readonly [Reach, BlockList])[] = [
  ["wildcard", blockList("0.0.0.0/32", "::/128")],
  ["loopback", blockList("127.0.0.0/8", "::1/128")],
  [
    "private",
    blockList(
      "10.0.0.0/8",
      "172.16.0.0/12",
      "192.168.0.0/16",
      "100.64.0.0/10", // carrier-grade NAT
      "169.254.0.0/16",
      "fc00::/7",
      "fe80::/10",
    ),
  ],
  [
    "reserved",
    blockList(
      "0.0.0.0/8",
      "192.0.0.0/24",
      "192.0.2.0/24",
      "198.18.0.0/15",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "224.0.0.0/3",
      "100::/64",
      "2001:db8::/32",
      "3fff::/20",
      "ff00::/8",
    ),
  ],
];

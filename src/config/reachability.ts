/**
 * Who can dial this node. A node behind a private address looks healthy from the inside and is never asked for
 * anything: nobody outside can open a connection, and nothing in its own log says so. Hence a line of its own.
 */
import {
  type Address,
  parseAnnounceAddress,
  parseListenAddress,
  reachOf,
  reachOfIp,
} from "./address.ts";
import type { CheckLine } from "./check.ts";

const ANNOUNCE_FIX =
  'set network.announce to the address under which peers reach this host, as ["/dns4/provider.example.org/tcp/4701"]';

/** `hostIps` are the addresses of this host's interfaces, which a wildcard stands for. */
export function checkReachability(
  listen: readonly string[],
  announce: readonly string[],
  hostIps: readonly string[],
): CheckLine {
  return announce.length > 0
    ? checkAnnounced(announce.map(parseAnnounceAddress))
    : checkListening(listen.map(parseListenAddress), hostIps);
}

function checkAnnounced(announced: readonly Address[]): CheckLine {
  const path = "network.announce";
  const told = `peers will be told ${announced.map((address) => address.text).join(", ")}`;
  if (announced.some((address) => reachOf(address) === "public")) {
    return { status: "ok", path, message: told };
  }
  const who = announced.every((address) => reachOf(address) === "loopback")
    ? "only this host"
    : "only this host or its private network";
  return { status: "warn", path, message: `${told}, which ${who} can dial`, fix: ANNOUNCE_FIX };
}

function checkListening(listening: readonly Address[], hostIps: readonly string[]): CheckLine {
  const path = "network.listen";
  const reachable = listening.flatMap((address) => dialable(address, hostIps));
  const outside = reachable.filter((address) => reachOf(address) === "public");
  if (outside.length > 0) {
    const told = outside.map((address) => address.text).join(", ");
    return { status: "ok", path, message: `peers will be told ${told}` };
  }
  const hasWildcard = listening.some((address) => reachOf(address) === "wildcard");
  const reason = hasWildcard
    ? "this host has no public address of its own and network.announce is empty"
    : "every listen address is loopback or private and network.announce is empty";
  return {
    status: "warn",
    path,
    message: `${reason}: no peer outside can dial this node`,
    fix: ANNOUNCE_FIX,
  };
}

/** A wildcard as the host's addresses of its family. */
function dialable(address: Address, hostIps: readonly string[]): Address[] {
  if (reachOf(address) !== "wildcard") return [address];
  return hostIps
    .filter((ip) => ip.includes(":") === (address.family === "ip6") && reachOfIp(ip) !== "reserved")
    .map((host) => ({ ...address, host, text: `/${address.family}/${host}/tcp/${address.port}` }));
}

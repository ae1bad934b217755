import { describe, expect, test } from "bun:test";
import {
  parseAnnounceAddress,
  parseListenAddress,
  type Reach,
  reachOf,
  reachOfIp,
} from "../../src/config/address.ts";
import { codeThrownBy } from "../support/codes.ts";

describe("addresses", () => {
  test("what a node listens on", () => {
    expect(parseListenAddress("/ip4/0.0.0.0/tcp/4701")).toEqual({
      text: "/ip4/0.0.0.0/tcp/4701",
      family: "ip4",
      host: "0.0.0.0",
      port: 4701,
    });
    expect(parseListenAddress("/ip6/::1/tcp/0/").text).toBe("/ip6/::1/tcp/0");
  });

  test("what a node announces", () => {
    expect(parseAnnounceAddress("/dns4/p.example.org/tcp/443").family).toBe("dns");
    expect(parseAnnounceAddress("/ip4/8.8.8.8/tcp/1").port).toBe(1);
  });

  const never = [
    "",
    "/",
    "tcp",
    "1.2.3.4:4701",
    "/ip4/1.2.3.4",
    "/tcp/4701",
    "/ip4/300.0.0.1/tcp/1",
    "/ip4/010.0.0.1/tcp/1",
    "/ip4/1.2.3.4/tcp/65536",
    "/ip4/1.2.3.4/tcp/-1",
    "/ip4/1.2.3.4/tcp/http",
    "/ip6/zz/tcp/1",
    "/ip4/1.2.3.4/udp/4701/quic-v1",
    "/ip4/1.2.3.4/tcp/4701/ws",
    "/ip4/1.2.3.4/tcp/4701/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
    "/unix/tmp/socket",
    "/dns4//tcp/1",
  ];
  test.each(never)("neither listens on nor announces %j", (text) => {
    expect(codeThrownBy(() => parseListenAddress(text))).toBe("malformed");
    expect(codeThrownBy(() => parseAnnounceAddress(text))).toBe("malformed");
  });

  test.each([
    "/ip4/0.0.0.0/tcp/4701",
    "/ip6/::/tcp/4701",
    "/ip4/8.8.8.8/tcp/0",
    "/ip4/203.0.113.7/tcp/4701",
    "/ip6/2001:db8::1/tcp/4701",
    "/ip4/224.0.0.1/tcp/4701",
  ])("does not announce %j, which no peer could dial", (text) => {
    expect(codeThrownBy(() => parseAnnounceAddress(text))).toBe("malformed");
  });

  test("a name is announced, never listened on", () => {
    expect(codeThrownBy(() => parseListenAddress("/dns4/p.example.org/tcp/1"))).toBe("malformed");
  });
});

describe("who can dial", () => {
  const table: [Reach, string[]][] = [
    ["wildcard", ["0.0.0.0", "::"]],
    ["loopback", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"]],
    [
      "private",
      [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.1.2.3",
      ],
    ],
    [
      "reserved",
      [
        "0.1.2.3",
        "192.0.2.1",
        "198.51.100.9",
        "203.0.113.7",
        "224.0.0.1",
        "255.255.255.255",
        "2001:db8::1",
        "ff02::1",
      ],
    ],
    [
      "public",
      [
        "8.8.8.8",
        "172.32.0.1",
        "172.15.255.255",
        "100.128.0.1",
        "192.169.0.1",
        "11.0.0.1",
        "223.255.255.255",
        "2606:4700::1",
        "2001:db9::1",
        "::ffff:8.8.8.8",
      ],
    ],
  ];
  test.each(table)("%s", (reach, ips) => {
    for (const ip of ips) expect([ip, reachOfIp(ip)]).toEqual([ip, reach]);
  });

  test("names are public, but localhost is not", () => {
    expect(reachOf({ family: "dns", host: "p.example.org" })).toBe("public");
    expect(reachOf({ family: "dns", host: "LocalHost" })).toBe("loopback");
  });
});

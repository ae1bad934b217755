import { describe, expect, test } from "bun:test";
import { checkReachability } from "../../src/config/reachability.ts";

const WILDCARD = ["/ip4/0.0.0.0/tcp/4701"];
const PRIVATE_HOST = ["127.0.0.1", "192.168.1.5", "::1", "fe80::1"];
const PUBLIC_HOST = ["127.0.0.1", "8.8.4.4", "2606:4700::9"];

describe("without announce", () => {
  test("loopback or private addresses: nobody outside can dial, and what to set", () => {
    const listen = ["/ip4/127.0.0.1/tcp/4701", "/ip4/10.0.0.1/tcp/4701", "/ip6/fd00::1/tcp/4701"];
    expect(checkReachability(listen, [], PUBLIC_HOST)).toEqual({
      status: "warn",
      path: "network.listen",
      message:
        "every listen address is loopback or private and network.announce is empty: no peer outside can dial this node",
      fix: 'set network.announce to the address under which peers reach this host, as ["/dns4/provider.example.org/tcp/4701"]',
    });
  });

  test("a wildcard on a host with private addresses only", () => {
    const line = checkReachability(WILDCARD, [], PRIVATE_HOST);
    expect(line.status).toBe("warn");
    expect(line.message).toBe(
      "this host has no public address of its own and network.announce is empty: no peer outside can dial this node",
    );
    expect(checkReachability(WILDCARD, [], [])).toEqual(line);
  });

  test("a wildcard stands for the host's addresses of its own family", () => {
    expect(checkReachability(WILDCARD, [], PUBLIC_HOST)).toEqual({
      status: "ok",
      path: "network.listen",
      message: "peers will be told /ip4/8.8.4.4/tcp/4701",
    });
    expect(checkReachability(["/ip6/::/tcp/1"], [], PUBLIC_HOST).message).toBe(
      "peers will be told /ip6/2606:4700::9/tcp/1",
    );
    expect(checkReachability(["/ip6/::/tcp/1"], [], ["8.8.4.4"]).status).toBe("warn");
  });

  test("one public listen address is enough", () => {
    const line = checkReachability(["/ip4/127.0.0.1/tcp/1", "/ip4/8.8.4.4/tcp/2"], [], []);
    expect(line).toMatchObject({ status: "ok", message: "peers will be told /ip4/8.8.4.4/tcp/2" });
  });
});

describe("with announce", () => {
  const announced = (...announce: string[]) => checkReachability(WILDCARD, announce, PRIVATE_HOST);

  test("says what peers will be told", () => {
    expect(announced("/dns4/p.example.org/tcp/4701", "/ip4/10.0.0.1/tcp/1")).toEqual({
      status: "ok",
      path: "network.announce",
      message: "peers will be told /dns4/p.example.org/tcp/4701, /ip4/10.0.0.1/tcp/1",
    });
  });

  test("of what cannot be dialled from outside, it says so", () => {
    expect(announced("/ip4/127.0.0.1/tcp/1")).toMatchObject({
      status: "warn",
      message: "peers will be told /ip4/127.0.0.1/tcp/1, which only this host can dial",
    });
    expect(announced("/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.5/tcp/1").message).toEndWith(
      "which only this host or its private network can dial",
    );
  });
});

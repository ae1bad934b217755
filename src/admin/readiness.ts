/**
 * Whether this provider can serve a grant now, check by check. Liveness is another question and asks nothing of the
 * outside: a provider that has lost its network is alive, and starting it again would not help.
 */
import { unreachable } from "../base/assert.ts";
import { build } from "../base/build.ts";
import type { Facts } from "./facts.ts";
import { CHECKS, type CheckName } from "./meters.ts";
import type { Ready } from "./schemas.ts";

type Check = Ready["checks"][number];
type Finding = Omit<Check, "name">;

/** Ready means that no check fails; one that is not required cannot. */
export function readinessOf(facts: Facts): Ready {
  const checks = CHECKS.map((name) => ({ name, ...find(name, facts) }));
  return { ready: checks.every(({ state }) => state !== "failing"), checks };
}

function find(name: CheckName, facts: Facts): Finding {
  switch (name) {
    case "network":
      return network(facts);
    case "journal":
      return facts.journalFault === undefined
        ? ok("the journal can be written")
        : failing(
            facts.journalFault,
            "the journal cannot be written; nothing new is admitted",
            "free disk space or make the state directory writable",
          );
    case "backend":
      return backend(facts);
    case "card":
      return card(facts);
    case "standing":
      return standing(facts);
    case "quote":
      return quote(facts);
    default:
      return unreachable(name);
  }
}

function network({ coalition }: Facts): Finding {
  const { connected, total, needed } = coalition.members;
  const detail = `${connected} of ${total} members connected, ${needed} needed`;
  return connected >= needed
    ? ok(detail)
    : failing("too-few-members", detail, "check network.listen, and that the members are up");
}

function backend({ backends }: Facts): Finding {
  const up = backends.filter(({ ok: answers }) => answers === true).length;
  const detail = `${up} of ${backends.length} backends answer`;
  return up > 0 ? ok(detail) : failing("no-backend", detail, "see compute-bridge status --why");
}

function card({ card: { publishedMs, current } }: Facts): Finding {
  if (current) return ok("the card is out");
  return publishedMs === undefined
    ? failing("no-card", "no card of this instance is out yet", "wait until it has joined")
    : failing("card-lapsed", "the card was not renewed in time", "look for card-not-published");
}

function standing({ provider }: Facts): Finding {
  if (provider.standing !== "serving") {
    const fixes = {
      draining: "resume it, or wait until it has drained",
      fenced: "a newer instance of this provider runs elsewhere; stop one of the two",
      retired: "start under another provider name",
    };
    const detail = `the provider is ${provider.standing}`;
    return failing(provider.standing, detail, fixes[provider.standing]);
  }
  return provider.killSwitch
    ? failing("kill-switch", "the kill switch is on", "set limits.killSwitch = false and restart")
    : ok("the provider takes grants");
}

function quote({ evidence }: Facts): Finding {
  if (evidence.state === "ok") return ok("the quote is current");
  if (evidence.required)
    return failing(evidence.code, "there is no current quote", "run it as the appliance");
  return {
    state: "not-required",
    code: evidence.code,
    detail: `version ${build.version} takes no quote; cards carry no evidence`,
    fix: null,
  };
}

function ok(detail: string): Finding {
  return { state: "ok", code: "ok", detail, fix: null };
}

function failing(code: string, detail: string, fix: string): Finding {
  return { state: "failing", code, detail, fix };
}

/** What must hold at every moment, and what must hold once the world has come to rest. */
import { toHex } from "../../src/base/bytes.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import { logChain } from "../../src/coalition/answers.ts";
import { grantId } from "../../src/coalition/grant.ts";
import { attemptKey } from "../../src/coalition/ids.ts";
import { isFinal, logHash } from "../../src/coalition/log.ts";
import type { CloudMachine } from "./cloud.ts";
import { SIM_PRICE_MICROS } from "./cloud-backend.ts";
import { short } from "./observer.ts";
import { createShopper, type SimRequest } from "./requester.ts";
import type { Setting } from "./simulate.ts";

/** From the deadline, in calm: three sweeps and more, an end that takes its time, and calls at their slowest. */
const OVERTIME_MS_MAX = 120 * SECOND_MS;

export function checkNow(setting: Setting): void {
  const { observer, machines, providers } = setting;
  const byRequest = new Map<string, CloudMachine[]>();
  for (const machine of machines()) {
    if (machine.state === "gone") continue;
    const request = observer.requestOf(machine) ?? "";
    byRequest.set(request, [...(byRequest.get(request) ?? []), machine]);
  }
  for (const [request, up] of byRequest)
    if (up.length > 1) observer.breach(`${up.length} machines for ${short(request)}`);
  for (const { name, provider } of providers) {
    if (provider === undefined) continue;
    const live = [...provider.ledger.live()];
    const active = live.filter(({ state }) =>
      ["received", "resolved", "provisioning", "running", "delivered", "terminating"].includes(
        state,
      ),
    );
    if (provider.ledger.books().active !== active.length)
      observer.breach(`${name}'s books say ${provider.ledger.books().active} of ${active.length}`);
  }
  checkOvertime(setting);
}

function checkOvertime({ observer, machines, clock }: Setting): void {
  const healed = observer.trace.findLast((line) => line.endsWith(" healed"));
  if (healed === undefined) return;
  const sinceHealedMs =
    Number(observer.trace.at(-1)?.split(" ")[0]) * 1000 - Number(healed.split(" ")[0]) * 1000;
  for (const machine of machines()) {
    const lateMs = clock.nowMs() - machine.order.deadlineMs;
    if (machine.state !== "gone" && Math.min(lateMs, sinceHealedMs) > OVERTIME_MS_MAX)
      observer.breach(`${machine.host} outlives its deadline by ${lateMs} ms`);
  }
}

export function checkAtRest(
  setting: Setting,
  requests: readonly SimRequest[],
  faults: boolean,
): void {
  const { observer } = setting;
  for (const { name, outcome } of requests) {
    if (!faults && typeof outcome === "string")
      observer.breach(`${name}: ${outcome}, though nothing failed`);
  }
  checkAnswers(setting);
  checkChains(setting);
  checkBooks(setting);
}

/** Grants that were admitted and have neither a refusal nor a final log. */
export function unanswered({ observer }: Setting): string[] {
  return [...observer.answers].flatMap(([id, { admitted, refusals, finals }]) => {
    const grant = observer.grants.get(id);
    const open = admitted && refusals.size === 0 && finals.size === 0;
    return open && grant !== undefined
      ? [`${short(grant.requestId)} attempt ${grant.attempt}`]
      : [];
  });
}

/** Every admitted grant has exactly one ending. */
function checkAnswers(setting: Setting): void {
  const { observer } = setting;
  for (const what of unanswered(setting)) observer.breach(`${what} was admitted and never ended`);
  for (const [id, { refusals, finals }] of observer.answers) {
    const grant = observer.grants.get(id);
    if (refusals.size > 0 && finals.size > 0)
      observer.breach(
        `${grant && short(grant.requestId)} attempt ${grant?.attempt} has a refusal and a final log`,
      );
  }
}

function checkChains({ observer, members }: Setting): void {
  const records = members[0]?.member?.records;
  if (records === undefined) return;
  for (const { body: grant } of records.grants.values()) {
    const chain = logChain(records.logs, grantId(grant));
    for (const [i, entry] of chain.entries()) {
      const before = chain[i - 1];
      const linked =
        before === undefined
          ? entry.previous.every((byte) => byte === 0)
          : toHex(entry.previous) === toHex(logHash(before));
      if (entry.seq !== i || !linked)
        observer.breach(`broken log chain of ${short(grant.requestId)}`);
      if (
        isFinal(entry) !== (i === chain.length - 1) &&
        records.refusals.get(attemptKey(grant.requestId, grant.attempt)) === undefined
      )
        observer.breach(`the log chain of ${short(grant.requestId)} does not end`);
    }
  }
}

/** Nothing is active, and no machine was billed for more than the books say it cost. */
function checkBooks({ observer, providers }: Setting): void {
  for (const { name, provider, clouds, booksUnsure } of providers) {
    if (provider === undefined) continue;
    const books = provider.ledger.books();
    if (books.active + books.pending + books.cpuMillicores + books.ramMib > 0)
      observer.breach(`${name}'s books are not empty: ${JSON.stringify(books)}`);
    for (const cloud of clouds) {
      for (const machine of cloud.machines) {
        const grant = observer.grants.get(machine.order.tags.grantId);
        const state = grant && provider.ledger.get(attemptKey(grant.requestId, grant.attempt));
        if (state === undefined || booksUnsure) continue;
        const untilMs = Math.min(machine.goneMs ?? Number.POSITIVE_INFINITY, state.deadlineMs);
        const billed = Math.floor(((untilMs - machine.createdMs) * SIM_PRICE_MICROS) / 3_600_000);
        if (billed - state.spend.micros > CLOCK_SLACK_MS)
          observer.breach(
            `${name} has booked ${state.spend.micros} for ${machine.host}, the cloud ${billed}`,
          );
      }
    }
  }
}

/** Provider's and cloud's clocks differ by the skew of the simulated hosts, which at this price is money. */
const CLOCK_SLACK_MS = 5 * SECOND_MS;

/** After all that, one more request is served as if nothing had been. */
export async function checkStillServing(setting: Setting): Promise<void> {
  const { clock, observer, providers } = setting;
  const open = providers.some(({ provider }) => (provider?.fleet.offers().length ?? 0) > 0);
  if (!open) {
    observer.note("every breaker is open: nothing to ask for");
    return;
  }
  const request = createShopper(setting, setting.machines).shop("the last request");
  const startMs = clock.nowMs();
  while (request.outcome === undefined && clock.nowMs() - startMs < 120 * SECOND_MS)
    await clock.advance(SECOND_MS);
  if (typeof request.outcome !== "object")
    observer.breach(`the last request was not served: ${request.outcome ?? "no answer"}`);
}

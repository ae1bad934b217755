/**
 * Faults that wait for the moment at which they hurt most: a vote is on disk and nobody has heard of it, a grant has just
 * been made, some shares have just been given, a machine is just being asked for.
 */
import { equal, toHex } from "../../src/base/bytes.ts";
import { SECOND_MS } from "../../src/base/limits.ts";
import { type ComputeGrant, grantId } from "../../src/coalition/grant.ts";
import { GRANT_STATES, type GrantStateName } from "../../src/ledger/state.ts";
import { decodeRecord } from "../../src/network/record.ts";
import type { Parties } from "./faults.ts";
import type { MemberHost } from "./member-host.ts";
import { short } from "./observer.ts";
import type { ProviderHost } from "./provider-host.ts";
import type { Host, World } from "./world.ts";

export interface Blows {
  part(lastsMs: number, apart: readonly Host[]): Promise<void>;
  killMember(host: MemberHost, forgets?: boolean, downMs?: number): Promise<void>;
  killProvider(host: ProviderHost): Promise<void>;
  isOver(): boolean;
}

export function armWorstMoments(
  { dice, network, observer }: World,
  { members, providers }: Parties,
  { part, killMember, killProvider, isOver }: Blows,
): void {
  for (const provider of providers) if (dice.chance(0.5)) dieIn(provider, dice.pick(GRANT_STATES));
  if (dice.chance(0.5)) dieVoting();
  if (dice.chance(0.8)) strikeAfterShares();

  /** Whoever proposed may come back with another grant. */
  function dieVoting(): void {
    let votes = dice.below(members.length + 2);
    observer.onVote = (_grant, member) => {
      if (votes-- > 0) return;
      observer.onVote = () => {};
      observer.counts.faults += 1;
      observer.note("the worst moment: a vote");
      const others = dice.some(members);
      for (const host of members)
        if (host.index === member || others.includes(host))
          void killMember(host, dice.chance(0.7), 8 * SECOND_MS);
    };
  }

  /** At half of the times nobody hears of an admission by gossip until the blow falls. */
  function strikeAfterShares(): void {
    const shares = dice.below(members.length);
    let spared = dice.below(3);
    const givers = new Map<string, Set<MemberHost>>();
    const muted = dice.chance(0.5);
    if (muted)
      network.rule = ({ channel, bytes }) =>
        channel === "gossip" && decodeRecord(bytes).kind === "admission" ? "lose" : undefined;
    const strike = (grant: ComputeGrant, given: ReadonlySet<MemberHost>): void => {
      observer.onGrant = () => {};
      observer.onShare = () => {};
      if (muted) network.rule = undefined;
      observer.note(`the worst moment: ${shares} shares for ${short(grant.requestId)}`);
      observer.counts.faults += 1;
      void strikeNow(grant, given);
    };
    observer.onGrant = (grant) => {
      if (shares === 0 && spared-- <= 0) strike(grant, new Set());
    };
    observer.onShare = (grant, member) => {
      const id = toHex(grantId(grant));
      const given = givers.get(id) ?? new Set();
      givers.set(id, given);
      for (const host of members) if (host.index === member) given.add(host);
      if (given.size === shares && spared-- <= 0) strike(grant, given);
    };
  }

  /**
   * The grant's provider is cut off, alone or with some members; who has given a share may lose power, and with it the
   * records that say so.
   */
  async function strikeNow(grant: ComputeGrant, given: ReadonlySet<MemberHost>): Promise<void> {
    const granted = providers.filter(
      ({ provider }) => provider && equal(provider.context.providerId, grant.providerId),
    );
    const others = members.filter((member) => !given.has(member));
    const side = dice.chance(0.5) ? dice.some(members) : dice.some(others);
    const parting = part(dice.between(15, 45) * SECOND_MS, [...granted, ...side]);
    if (dice.chance(0.6))
      for (const member of given) void killMember(member, true, dice.pick([3, 20]) * SECOND_MS);
    else if (dice.chance(0.3)) void killMember(dice.pick(members));
    if (dice.chance(0.2)) void killProvider(dice.pick(providers));
    await parting;
    if (!isOver() && dice.chance(0.5)) strikeAfterShares();
  }

  /** The power goes the moment the state is on disk. */
  function dieIn(provider: ProviderHost, state: GrantStateName): void {
    provider.onChange = ({ after }) => {
      if (after.state !== state || isOver()) return;
      provider.onChange = () => {};
      observer.note(`${provider.name} is to die in ${state}`);
      observer.counts.faults += 1;
      void killProvider(provider);
    };
  }
}

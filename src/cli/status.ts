import { type Snapshot, snapshotCodec, type Why, whyCodec } from "../admin/schemas.ts";
import { formatMicros } from "../config/money.ts";
import { adminClient, adminOptions } from "./admin-client.ts";
import { type Command, print, printJson } from "./command.ts";

export const statusCommand: Command = {
  name: "status",
  summary: "what a running provider is doing",
  about: "Totals only, as on the admin page. --why tells why grants were turned away lately.",
  options: {
    ...adminOptions,
    why: { help: "reasons for refusals, left-out offers and failed creates" },
    json: { help: "print JSON" },
  },
  examples: [
    "compute-bridge status --config provider.toml",
    "compute-bridge status --config provider.toml --why",
  ],
  async run(values) {
    const admin = adminClient(values);
    const json = values.has("json");
    if (values.has("why")) {
      const why = whyCodec.check(await admin.get("/api/v1/why"));
      if (json) printJson(why);
      else showWhy(why);
      return 0;
    }
    const snapshot = snapshotCodec.check(await admin.get("/api/v1/snapshot"));
    if (json) printJson(snapshot);
    else show(snapshot);
    return snapshot.readiness.ready ? 0 : 1;
  },
};

function show({ provider, readiness, coalition, grants, backends, money, usage }: Snapshot): void {
  const { connected, total } = coalition.members;
  const { currency } = money;
  print(
    `provider   ${provider.name} ${provider.idPrefix}  ${provider.status}  ${provider.version} ${provider.flavour}`,
  );
  print(`coalition  ${coalition.name}  tick ${coalition.tick}  members ${connected}/${total}`);
  print(
    `grants     ${grants.active}/${grants.cap} active, ${grants.lifetime.seen} seen, ${grants.lifetime.receipts} receipts`,
  );
  for (const { name, state, free, machines, machinesStarted } of backends) {
    print(
      `backend    ${name} ${state}  ${machines.running} running, ${free} free, ${machinesStarted} started`,
    );
  }
  print(`usage      ${usage.cpuCoreSeconds} core s, ${usage.ramMibSeconds} MiB s`);
  print(
    `money      today ${formatMicros(money.todayMicros)} of ${formatMicros(money.capPerDayMicros)} ${currency}`,
  );
  for (const { name, state, detail, fix } of readiness.checks) {
    if (state === "failing")
      print(`not ready  ${name}: ${detail}${fix === null ? "" : ` (${fix})`}`);
  }
}

function showWhy({ refusals, leftOut, createFailures, blocked, failing }: Why): void {
  for (const { name, detail, fix } of failing)
    print(`failing    ${name}: ${detail}${fix === null ? "" : ` (${fix})`}`);
  for (const { code, count, meaning } of refusals)
    print(`refused    ${count} x ${code}: ${meaning}`);
  for (const { backend, code, count } of leftOut)
    print(`left out   ${count} x ${backend}: ${code}`);
  for (const { backend, code, count } of createFailures)
    print(`not made   ${count} x ${backend}: ${code}`);
  for (const { backend, width, code } of blocked)
    print(`blocked    ${backend}: ${code}, whole ${width}`);
  if (
    refusals.length + leftOut.length + createFailures.length + blocked.length + failing.length ===
    0
  ) {
    print("nothing was turned away since this process started");
  }
}

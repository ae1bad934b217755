/** A process that casts votes as fast as it can and says which ones are acknowledged, until it is killed. */
import { randomBytes } from "node:crypto";
import { silentLogger } from "../../src/base/log.ts";
import { openBallot } from "../../src/coalition/ballot.ts";

const [path = "", first = "0"] = process.argv.slice(2);
const ballot = openBallot(path, () => 1, silentLogger);
for (let i = Number(first); ; i += 1) {
  const request = new Uint8Array(randomBytes(32));
  const grant = new Uint8Array(randomBytes(32));
  ballot.vote(request, 1, grant, () => false);
  ballot.release({ requestId: request, attempt: 1, providerId: grant, seq: i + 1, bootKey: grant });
  const line = `${Buffer.from(request).toString("hex")} ${Buffer.from(grant).toString("hex")} ${i + 1}\n`;
  await Bun.write(Bun.stdout, line);
}

/** A real disk that fills up under a running ledger: new grants stop with an alarm, and nothing is lost. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MINUTE_MS } from "../../src/base/limits.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { needs } from "../support/skip.ts";
import { grantOf, keyOf, offer, SMOOTH, startRig } from "./rig.ts";
import { measured } from "./samples.ts";

const DISK_BYTES = 512 * 1024;

/** A file system of half a megabyte, or undefined where we may not mount one. */
function tinyDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "tiny-disk-"));
  const made = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", folder]);
  if (made.exitCode === 0) return folder;
  rmdirSync(folder);
  return undefined;
}

const disk = needs("root, to mount a tiny disk", Bun.which("mount") === null ? null : tinyDisk());

if (disk !== undefined) {
  afterAll(() => {
    Bun.spawnSync(["umount", disk]);
    rmdirSync(disk);
  });

  describe("a full disk", () => {
    const path = join(disk, "journal.db");
    const ballast = join(disk, "ballast");

    function fill(): void {
      for (let bytes = DISK_BYTES; bytes >= 1; bytes = Math.floor(bytes / 2)) {
        try {
          writeFileSync(ballast, new Uint8Array(bytes), { flag: "a" });
        } catch (error) {
          expect((error as { code?: string }).code).toBe("ENOSPC");
        }
      }
    }

    test("stops new grants, keeps what workers report, and goes on when there is room", async () => {
      const rig = startRig({ script: SMOOTH, journal: openJournal(path, "provider-a") });
      const key = offer(rig, 1);
      await rig.clock.until(() => rig.ledger.get(key)?.state === "delivered", MINUTE_MS);
      fill();
      // Until the log's own free pages are used up, writes may still succeed.
      for (let n = 0; n < 5000 && rig.ledger.fault() === undefined; n += 1) {
        rig.ledger.offer(key, { type: "sampled", usage: measured(n) });
        await rig.clock.settle();
      }
      expect(rig.ledger.fault()?.code).toBe("journal-unwritable");
      expect(rig.logged).toContain("journal-unwritable");
      expect(rig.ledger.offer(keyOf(2), grantOf(2))).toBe(false);
      rig.ledger.offer(key, { type: "end", detail: "while the disk is full" });
      await rig.clock.advance(10 * MINUTE_MS);
      expect(rig.ledger.get(key)?.state).toBe("delivered"); // no effect of what is not on disk

      rmSync(ballast);
      await rig.clock.until(() => rig.journal.get(key)?.state === "closed", MINUTE_MS);
      expect(rig.ledger.fault()).toBeUndefined();
      const second = offer(rig, 2);
      await rig.clock.until(() => rig.ledger.get(second)?.state === "delivered", MINUTE_MS);
      await rig.clock.run(rig.ledger.stop(), MINUTE_MS);
      rig.journal.close();
    });

    test("a restart on a disk that is still full finds everything that was acknowledged", async () => {
      fill();
      let journal: ReturnType<typeof openJournal> | undefined;
      try {
        journal = openJournal(path, "provider-a");
      } catch (error) {
        expect((error as { code?: string }).code).toBe("journal-unwritable");
      }
      journal?.close();
      rmSync(ballast);
      const found = openJournal(path, "provider-a");
      expect(found.get(keyOf(1))?.state).toBe("closed");
      expect(found.get(keyOf(2))?.state).toBe("delivered");
      found.close();
      expect(existsSync(path) && statSync(path).size > 0).toBe(true);
    });
  });
}

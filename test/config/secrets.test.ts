import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { toHex } from "../../src/base/bytes.ts";
import { BridgeError, explain } from "../../src/base/errors.ts";
import { SECRET_BYTES_MAX } from "../../src/base/limits.ts";
import {
  parseSecretRef,
  readSecret,
  readSeed,
  secretRefText,
  shellQuote,
} from "../../src/config/secrets.ts";
import { needs } from "../support/skip.ts";
import { inFolder } from "./support.ts";

const SEED = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

function write(folder: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, "secret.key");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function failure(call: () => unknown): BridgeError {
  try {
    call();
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("references", () => {
  test("a file is relative to the directory given", () => {
    expect(parseSecretRef("file:keys/a", "/etc/bridge")).toEqual({
      from: "file",
      path: "/etc/bridge/keys/a",
    });
    expect(parseSecretRef("file:/run/a", "/etc/bridge")).toEqual({ from: "file", path: "/run/a" });
    expect(parseSecretRef("env:MY_KEY", "/")).toEqual({ from: "env", name: "MY_KEY" });
  });

  test.each([
    SEED,
    "file:",
    "env:",
    "env:1A",
    "env:A-B",
    "FILE:a",
    "operator.key",
    `file:a\0b`,
    "",
  ])("%j is none, and is not repeated", (text) => {
    const error = failure(() => parseSecretRef(text, "/etc"));
    expect(error.code).toBe("malformed");
    if (text !== "") expect(explain(error)).not.toContain(text);
  });

  test("the text form reads back", () => {
    for (const text of ["file:/a b/c", "env:X"]) {
      expect(secretRefText(parseSecretRef(text, "/"))).toBe(text);
    }
  });
});

describe("reading", () => {
  test("bytes without one line end, as a Secret", () => {
    inFolder((folder) => {
      for (const [content, value] of [
        ["abc\n", "abc"],
        ["abc\r\n", "abc"],
        ["abc", "abc"],
        ["abc\n\n", "abc\n"],
        [" abc ", " abc "],
      ] as const) {
        const secret = readSecret({ from: "file", path: write(folder, content) }, {});
        expect(Buffer.from(secret.reveal()).toString()).toBe(value);
        expect(`${secret} ${JSON.stringify(secret)} ${inspect(secret)}`).not.toContain("abc");
      }
    });
  });

  test("a seed from a file and from a variable", () => {
    inFolder((folder) => {
      const path = write(folder, `${SEED}\n`);
      expect(toHex(readSeed({ from: "file", path }, {}).reveal())).toBe(SEED);
      expect(toHex(readSeed({ from: "env", name: "K" }, { K: SEED }).reveal())).toBe(SEED);
    });
  });

  test.each([SEED.slice(1), `${SEED}0`, SEED.toUpperCase(), `${SEED} `, `0x${SEED}`, "not hex"])(
    "%j is no seed, and is not printed",
    (content) => {
      inFolder((folder) => {
        const error = failure(() => readSeed({ from: "file", path: write(folder, content) }, {}));
        expect(error.code).toBe("secret-unreadable");
        expect(error.message).toEndWith("does not hold 64 lower-case hex characters");
        expect(explain(error)).not.toContain(content);
      });
    },
  );

  test("missing, empty, too large, no file: each says what it is", () => {
    inFolder((folder) => {
      const reason = (path: string) => {
        const error = failure(() => readSecret({ from: "file", path }, {}));
        expect(error.code).toBe("secret-unreadable");
        expect(error.fix).toBeDefined();
        return error.message.replaceAll(folder, "");
      };
      expect(reason(join(folder, "missing"))).toBe("file:/missing does not exist");
      expect(reason(join(write(folder, "x"), "inside"))).toContain("does not exist");
      expect(reason(write(folder, ""))).toBe("file:/secret.key is empty");
      expect(reason(write(folder, "\n"))).toBe("file:/secret.key is empty");
      expect(reason(write(folder, "x".repeat(SECRET_BYTES_MAX + 1)))).toBe(
        `file:/secret.key has more than ${SECRET_BYTES_MAX} bytes`,
      );
      expect(reason(folder)).toBe("file: is not a regular file");
      const loop = join(folder, "loop");
      symlinkSync(loop, loop);
      expect(reason(loop)).toBe("file:/loop is a circle of symbolic links");
      expect(reason("/dev/null")).toBe("file:/dev/null is not a regular file");
      expect(
        readSecret(
          { from: "file", path: write(folder, "x".repeat(SECRET_BYTES_MAX)) },
          {},
        ).reveal(),
      ).toHaveLength(SECRET_BYTES_MAX);
    });
  });

  test("variables: unset, empty, too large", () => {
    const reason = (env: Record<string, string>) =>
      failure(() => readSecret({ from: "env", name: "KEY" }, env)).message;
    expect(reason({})).toBe("env:KEY is not set");
    expect(reason({ KEY: "" })).toBe("env:KEY is empty");
    expect(reason({ KEY: "x".repeat(SECRET_BYTES_MAX + 1) })).toStartWith("env:KEY has ");
  });
});

describe("permissions", () => {
  test.each([0o640, 0o604, 0o660, 0o610, 0o777, 0o620])(
    "mode %o is refused with the command to run",
    (mode) => {
      inFolder((folder) => {
        const path = write(folder, SEED, mode);
        const error = failure(() => readSecret({ from: "file", path }, {}));
        expect(error.code).toBe("unsafe-permissions");
        expect(error.fix).toBe(`chmod 600 ${path}`);
        expect(explain(error)).not.toContain(SEED);
      });
    },
  );

  test("the command works, also on a path a shell would take apart", () => {
    inFolder((outer) => {
      const folder = join(outer, "it's $(here)");
      mkdirSync(folder);
      const path = write(folder, SEED, 0o644);
      const { fix = "" } = failure(() => readSeed({ from: "file", path }, {}));
      execFileSync("sh", ["-c", fix]);
      expect(toHex(readSeed({ from: "file", path }, {}).reveal())).toBe(SEED);
    });
  });

  test("of a link the mode of its target counts", () => {
    inFolder((folder) => {
      const link = join(folder, "link");
      symlinkSync(write(folder, SEED, 0o600), link);
      expect(readSeed({ from: "file", path: link }, {}).reveal()).toHaveLength(32);
      chmodSync(join(folder, "secret.key"), 0o644);
      expect(failure(() => readSeed({ from: "file", path: link }, {})).code).toBe(
        "unsafe-permissions",
      );
    });
  });

  test.each([0o400, 0o600, 0o700])("mode %o is accepted", (mode) => {
    inFolder((folder) => {
      const path = write(folder, SEED, mode);
      expect(readSeed({ from: "file", path }, {}).reveal()).toHaveLength(32);
    });
  });
});

const mkfifo = needs("coreutils (mkfifo)", Bun.which("mkfifo"));
if (mkfifo !== undefined) {
  test("a named pipe without a writer does not hold the program up", () => {
    inFolder((folder) => {
      const path = join(folder, "pipe");
      execFileSync(mkfifo, ["-m", "600", path]);
      expect(failure(() => readSecret({ from: "file", path }, {})).message).toEndWith(
        "is not a regular file",
      );
    });
  });
}

test("shellQuote", () => {
  expect(shellQuote("/a/b-c_1.key")).toBe("/a/b-c_1.key");
  expect(shellQuote("a b")).toBe("'a b'");
  expect(shellQuote("it's")).toBe("'it'\\''s'");
  expect(shellQuote("")).toBe("''");
});

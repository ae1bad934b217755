/** The port of the endpoint is taken once, and before there is anything to answer. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type AdminListener, listenAdmin } from "../../src/admin/listener.ts";
import { codeThrownBy } from "../support/codes.ts";
import { PROJECT } from "../support/vectors.ts";

let listener: AdminListener | undefined;
afterEach(async () => await listener?.stop());

test("neither this process nor another one of the same user gets a port that is taken", async () => {
  listener = listenAdmin(0);
  const { port } = listener;
  expect(codeThrownBy(() => listenAdmin(port))).toBe("config-invalid");
  const script = `
    const { listenAdmin } = await import(${JSON.stringify(join(PROJECT, "src/admin/listener.ts"))});
    try {
      listenAdmin(${port});
      console.log("shared");
    } catch (error) {
      console.log(error.code);
    }
    process.exit(0);
  `;
  const second = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  expect((await new Response(second.stdout).text()).trim()).toBe("config-invalid");
});

test("requests before the provider can answer are told so, and it can be stopped then", async () => {
  listener = listenAdmin(0);
  const url = `http://127.0.0.1:${listener.port}/api/v1/snapshot`;
  const early = await fetch(url);
  expect([early.status, await early.json()]).toEqual([
    503,
    { code: "not-now", message: "the provider is starting", fix: "ask again" },
  ]);
  listener.serve(async () => new Response("here"));
  expect(await (await fetch(url)).text()).toBe("here");
  await listener.stop();
  await expect(fetch(url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

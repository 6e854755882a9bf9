// Opens every page of the dashboard in a real Chromium, clicks every act, waits for what must come by itself, and has axe-core look
// at each page. usage: node dashboard.mjs FEDPLANE FEDERATION WORK OUT
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [fedplane, federation, work, out] = process.argv.slice(2);
const story = join(federation, "..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const EVERY_WIDTH = { light: ["light", 1280], dark: ["dark", 1280], narrow: ["light", 400] };
const WITHIN = { timeout: 60_000 };
mkdirSync(out, { recursive: true });

const run = (...args) => execFileSync(fedplane, args, { encoding: "utf8", cwd: story, env: { ...process.env, FEDPLANE_DIR: federation } });
const say = (text) => console.log(`  ✓ ${text}`);
const must = (holds, what) => {
  if (!holds) throw new Error(what);
};

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
const wrong = [];

// A browser of somebody's own: what it complains of, and whatever it asks of another host, is wrong.
const enter = async (who, options = {}) => {
  const key = join(federation, "keys/operators", who);
  const link = JSON.parse(run("dashboard", "link", "--json", "--cert", `${key}.pem`, "--operator-key", `${key}.key`));
  const own = new URL(link.url).origin;
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    const told = `${who}: ${page.url()}: ${message.text()}`;
    // A refusal is an answer: the page of it is looked at where it is asked for.
    if (message.type() === "error" && !/status of (401|403|404|409)/.test(told)) wrong.push(told);
  });
  page.on("pageerror", (error) => wrong.push(`${who}: ${page.url()}: ${error}`));
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== own) wrong.push(`${who}: asks ${url.origin}`);
  });
  await page.goto(link.url);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
  return { page, context, own, open: (path) => page.goto(own + path) };
};

const look = async (page, name) => {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, help, nodes } of found.violations) {
    const told = `${name}: axe: ${impact} ${id}: ${help}: ${nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(" | ")}`;
    if (["serious", "critical"].includes(impact)) wrong.push(told);
    else console.log(`    ${told}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) wrong.push(`${name}: is ${wide} px wider than its window`);
};
const window_of = (page, name) => page.screenshot({ path: join(out, `${name}.png`) });
const shot = (page, name) => page.screenshot({ path: join(out, `${name}.png`), fullPage: true });

// A release that every instance can install, of the demo's own making.
const publish = (version, ...options) => {
  const digest = (id) => createHash("sha256").update(`content of ${id}`).digest("hex");
  const manifest = readFileSync(join(story, "releases/0.1.1.toml"), "utf8")
    .replaceAll("0.1.1", version)
    .replace("Faster search.", "Invoices in every currency.")
    .replace(/id = "(.*)"\ndigest = ".*"/g, (_, id) => `id = "${id}"\ndigest = "${digest(id)}"`);
  const path = join(work, version);
  writeFileSync(`${path}.toml`, manifest);
  writeFileSync(`${path}.package`, `#!/bin/sh\necho ${version}\n`);
  const keys = [1, 2].map((number) => join(federation, `keys/organism/${number}.key`));
  run("release", "sign", "--manifest", `${path}.toml`, "--package", `${path}.package`, "--key", ...keys, "--out", path);
  run("release", "publish", path, ...options);
};

const main = async () => {
  const admin = await enter("admin");
  const { page, open } = admin;
  const heading = (name) => page.getByRole("heading", { level: 1, name });
  const act = async (path, button) => {
    await open(path);
    await look(page, path);
    await page.getByRole("button", { name: button }).click();
    await page.waitForURL(/done=/);
  };

  // By keyboard: the first stop leads to the content.
  await open("/fleet");
  await page.keyboard.press("Tab");
  must(await page.evaluate(() => document.activeElement.className === "skip"), "the first stop is not the skip link");
  await page.keyboard.press("Enter");
  must(await page.evaluate(() => document.activeElement.id === "content"), "the skip link leads elsewhere");
  say("signed in by a one-time link; the skip link leads to the content");

  // Something is decided elsewhere, and the page that is open says so by itself.
  await open("/fleet?state=active");
  const first = page.locator("#h-instances").locator("xpath=ancestor::section").locator("tbody a").first();
  const instance = await first.getAttribute("href");
  const id = instance.split("/").pop();
  await open(instance);
  await page.locator("#live.on").waitFor(WITHIN);
  const before = await page.evaluate(() => performance.timeOrigin);
  run("instance", "suspend", id);
  await page.locator("#part-head .state", { hasText: "suspended" }).waitFor(WITHIN);
  must((await page.evaluate(() => performance.timeOrigin)) === before, "the page was loaded anew");
  say("a suspension from the command line arrived on the open page by itself");
  await act(`${instance}/reactivate`, "Reactivate");
  await page.locator("#part-head .state", { hasText: "active" }).waitFor(WITHIN);
  await act(`${instance}/suspend`, "Suspend");
  await act(`${instance}/reactivate`, "Reactivate");
  say("suspended and reactivated on the page");

  // A rollout, from its first phase to its end.
  publish("0.1.4", "--approval", "beta");
  await open("/rollouts");
  await page.getByRole("link", { name: "0.1.4" }).first().click();
  await heading("Rollout of 0.1.4").waitFor();
  await page.locator("#part-head .state", { hasText: /canary|awaiting/ }).waitFor(WITHIN);
  await shot(page, "rollout-canary");
  await act("/rollouts/0.1.4/pause", "Pause");
  await page.locator("#part-head .state", { hasText: "paused" }).waitFor(WITHIN);
  await act("/rollouts/0.1.4/resume", "Resume");
  await page.getByRole("link", { name: "Approve…" }).waitFor(WITHIN);
  await shot(page, "rollout-waits");
  await page.getByRole("link", { name: "Approve…" }).click();
  must(/opens at the next sweep with \d+ of \d+ eligible/.test(await page.locator("main").innerText()), "no consequence in numbers");
  await shot(page, "rollout-approve");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.locator("#part-head .state", { hasText: "done" }).waitFor(WITHIN);
  say("a rollout paused, resumed, approved, and seen to its end live");
  publish("0.1.5", "--approval", "canary");
  await open("/rollouts/0.1.5");
  await page.getByRole("link", { name: "Approve…" }).waitFor(WITHIN);
  await act("/rollouts/0.1.5/abort", "Abort for good");
  await page.locator("#part-head .state", { hasText: "aborted" }).waitFor(WITHIN);
  await open("/rollouts/0.1.5/resume");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("The law does not let this happen now").waitFor();
  await look(page, "a refusal");
  await shot(page, "refusal");
  say("a rollout aborted; what the law refuses is told with its rule");

  // The Founder's inbox: the order that is downloaded is one that a key signs.
  await open("/escalations");
  const [order] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /Download “revoke”/ }).first().click()]);
  const file = join(work, "order.json");
  await order.saveAs(file);
  const signed = run("--json", "order", "sign", "--order", file, "--out", `${file}.sig`, "--key", join(federation, "keys/founder/1.key"));
  must(JSON.parse(signed).signatures === 1, `the order was not signed: ${signed}`);
  await page.getByRole("button", { name: "I have it in hand" }).first().click();
  await page.getByText("in hand", { exact: true }).first().waitFor();
  say("an order downloaded and signed offline; a matter taken in hand");

  // The ledger.
  await open("/ledger");
  await page.getByRole("button", { name: "Verify now" }).click();
  await page.getByText("Lawful:").waitFor(WITHIN);
  await look(page, "verified");
  await shot(page, "ledger-verified");
  await page.getByLabel("A word, a rule").fill("operator/admin");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("Entries with “operator/admin”").waitFor();
  must((await page.locator("#part-entries tbody tr").count()) > 4, "the acts are not in the ledger");
  await page.locator("#part-entries tbody a").first().click();
  const [proof] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download the proof" }).click()]);
  const proved = join(work, "entry.tlog-proof");
  await proof.saveAs(proved);
  run("ledger", "check-proof", proved, "--root", join(federation, "founder.json"));
  say("the ledger verified and searched; a proof downloaded and checked");

  // Filters live in the address.
  await open("/fleet");
  await page.locator("select[name=tier]").selectOption("pro");
  await page.getByRole("button", { name: "Show" }).click();
  must(new URL(page.url()).searchParams.get("tier") === "pro", "the filter is not in the address");
  const tiers = await page.locator("#part-instances tbody tr td:nth-child(5)").allInnerTexts();
  must(tiers.length > 0 && tiers.every((text) => text.startsWith("pro")), "the filter lets others through");

  // Every page, in every light and width, as whoever may read it.
  const pages = {
    fleet: "/fleet", instance, suspend: `${instance}/suspend`, rollouts: "/rollouts", rollout: "/rollouts/0.1.4", halted: "/rollouts/0.1.2",
    releases: "/releases", constitution: "/constitution", escalations: "/escalations", ledger: "/ledger", entry: "/ledger/0", "red-switch": "/red-switch",
    nowhere: "/nowhere", "sign-in": "/sign-in",
  };
  for (const [name, [colorScheme, width]] of Object.entries(EVERY_WIDTH)) {
    const own = await enter("admin", { colorScheme, viewport: { width, height: 900 } });
    for (const [what, path] of Object.entries(pages)) {
      await own.open(path);
      await look(own.page, `${what}, ${name}`);
      await shot(own.page, `${what}-${name}`);
      if (what === "fleet") await window_of(own.page, `window-${name}`);
    }
    await own.context.close();
  }
  say(`${Object.keys(pages).length} pages light, dark and narrow: axe finds nothing serious, nothing is wider than its window`);

  // The red switch: seen by others at once.
  const auditor = await enter("alice");
  await auditor.open("/fleet");
  must((await auditor.page.getByRole("link", { name: "Red switch" }).count()) === 0, "an auditor is offered the red switch");
  await auditor.page.locator("#live.on").waitFor(WITHIN);
  await page.getByRole("link", { name: "Red switch" }).click();
  await page.getByLabel("Why?").fill("0.1.4 loses orders on enterprise machines");
  await page.getByRole("button", { name: "Stop every offer" }).click();
  await auditor.page.getByText("The red switch is on").waitFor(WITHIN);
  must(/loses orders.*by operator\/admin/s.test(await auditor.page.locator(".alarm").innerText()), "who turned it is not told");
  await look(auditor.page, "red switch on");
  await shot(page, "red-switch-on");
  await page.getByRole("link", { name: "Turn it off…" }).click();
  await page.getByLabel("Why?").fill("0.1.5 mends it");
  await page.getByRole("button", { name: "Turn it off" }).click();
  await auditor.page.getByText("The red switch is on").waitFor({ state: "detached", ...WITHIN });
  say("the red switch turned on and off, seen by an auditor as it happened");
  await auditor.open("/red-switch");
  await auditor.page.getByText("Not for you").waitFor();
  await auditor.context.close();
  const provider = await enter("bob");
  must((await provider.page.locator("#part-instances tbody tr").count()) === 1, "a provider sees others' instances");
  await look(provider.page, "provider's fleet");
  await shot(provider.page, "provider");
  await provider.context.close();
  say("an auditor changes nothing, a provider sees its own");

  // Without a script everything is read, and acts are done.
  const plain = await enter("admin", { javaScriptEnabled: false });
  for (const path of Object.values(pages)) await plain.open(path);
  await plain.open("/ledger");
  await plain.page.getByRole("button", { name: "Verify now" }).click();
  await plain.page.getByText("Lawful:").waitFor(WITHIN);
  await plain.page.getByRole("button", { name: "Sign out" }).click();
  await plain.page.waitForURL(/sign-in/);
  await plain.open("/fleet");
  await plain.page.getByText("fedplane dashboard link").waitFor();
  await plain.context.close();
  say("without a script everything is read and done; signed out");
};

try {
  await main();
} catch (error) {
  wrong.push(String(error.stack ?? error));
  const last = browser.contexts()[0]?.pages()[0];
  if (last) await shot(last, "failed");
}
await browser.close();
wrong.forEach((told) => console.error(`  ✗ ${told}`));
console.log(`  ${readdirSync(out).filter((name) => name.endsWith(".png")).length} screenshots in ${out}`);
process.exit(wrong.length ? 1 : 0);

// Runs one scenario in a headless Chromium: `node tests/browse.mjs NAME`. `cargo xtask test` calls it for each of them,
// with a running system in GATEWAY_URL, and with the folder for screenshots in SCREENSHOTS.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import * as accessibility from "./accessibility.mjs";
import * as documents from "./documents.mjs";
import * as operations from "./operations.mjs";
import * as orders from "./orders.mjs";

/** @typedef {{ page: import("playwright-core").Page, context: import("playwright-core").BrowserContext,
 *   gateway: string, shoot(name: string): Promise<void> }} Visit */

/** Chromium may wait for a busy machine, not for ever. */
const PATIENCE = 30_000;

/** @type {Record<string, (visit: Visit) => Promise<void>>} */
const scenarios = { ...accessibility, ...documents, ...operations, ...orders };
const name = process.argv[2] ?? "";
const scenario = scenarios[name];
const gateway = process.env["GATEWAY_URL"];
const folder = process.env["SCREENSHOTS"];
if (!scenario || !gateway || !folder) throw new Error(`no scenario ${name}, or no GATEWAY_URL or SCREENSHOTS`);

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();
/** @type {string[]} */
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => {
  // The browser itself tells of every answer that is a refusal, and of every one that is missing.
  const isRefusal = message.text().startsWith("Failed to load resource");
  if (message.type() === "error" && !isRefusal) complaints.push(message.text());
});

await mkdir(folder, { recursive: true });
/** @param {string} name */
const shoot = async (name) => {
  // A dialog covers what can be seen, not what is further down.
  const fullPage = (await page.locator("dialog[open]").count()) === 0;
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled", fullPage });
};
try {
  await page.goto(gateway);
  await scenario({ page, context, gateway, shoot });
  if (complaints.length > 0) throw new Error(`the browser complains: ${complaints.join("; ")}`);
} catch (error) {
  await shoot(`failed-${name}`);
  console.error(error);
  console.error(`--- what was shown\n${await page.locator("body").innerText()}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

// What is shown, on a laptop and on a phone, light and dark, held against the rules of axe-core.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/** @typedef {import("./browse.mjs").Visit} Visit */

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];
const SCHEMES = /** @type {const} */ (["light", "dark"]);

/** The screenshots are called after the view.
 * @param {Visit} visit @param {string} view */
export async function checkOnEveryScreen({ page, shoot }, view) {
  await page.emulateMedia({ reducedMotion: "reduce" });
  for (const size of SIZES) {
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      // The page's own policy forbids scripts from anywhere else, so it is run as the debugger runs things.
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => /** @type {any} */ (globalThis).axe.run());
      const told = violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`).join(" ")}`);
      assert.deepEqual(told, [], `${view}, ${size.width}, ${colorScheme}`);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(excess <= 0, `${view}, ${size.width}: ${excess} px too wide`);
      await shoot(`${view}-${size.width}-${colorScheme}`);
    }
  }
}

// Each view, on a laptop and on a phone, light and dark, held against the rules of axe-core.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { drawerOf, newReference, openOperations, pay, placeOrder } from "./helpers.mjs";

/** @typedef {import("./browse.mjs").Visit} Visit */

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];
const SCHEMES = /** @type {const} */ (["light", "dark"]);

/** @param {Visit} visit */
export async function every_view_is_accessible_on_every_screen({ page, shoot }) {
  await page.emulateMedia({ reducedMotion: "reduce" });
  // The page's own policy forbids scripts from anywhere else, so it is run as the debugger runs things.
  const check = async (/** @type {string} */ view) => {
    for (const size of SIZES) {
      for (const colorScheme of SCHEMES) {
        await page.setViewportSize(size);
        await page.emulateMedia({ colorScheme });
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => /** @type {any} */ (globalThis).axe.run());
        const told = violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => `${node.html} ${node.failureSummary}`).join(" ")}`);
        assert.deepEqual(told, [], `${view}, ${size.width}, ${colorScheme}`);
        const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(excess <= 0, `${view}, ${size.width}: ${excess} px too wide`);
        await shoot(`${view}-${size.width}-${colorScheme}`);
      }
    }
  };
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  await drawer.getByRole("button", { name: /^Pay / }).waitFor();
  await check("drawer");
  await pay(drawer, "Insufficient funds");
  await drawer.getByRole("alert").waitFor();
  await check("drawer-refused");
  await page.keyboard.press("Escape");
  await page.getByRole("row", { name: reference }).waitFor();
  await check("list");
  await page.getByRole("button", { name: "New order" }).click();
  await page.getByRole("button", { name: "Add items" }).click();
  await check("new-order");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Operations" }).click();
  await check("operations-gate");
  await openOperations(page, "admin-demo-token");
  await page.getByRole("heading", { name: "Parked messages" }).waitFor();
  await check("operations");
}

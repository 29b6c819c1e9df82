// Each view, on every screen.
import { drawerOf, newReference, openOperations, pay, placeOrder } from "./helpers.mjs";
import { checkOnEveryScreen } from "./screens.mjs";

/** @typedef {import("./browse.mjs").Visit} Visit */

/** @param {Visit} visit */
export async function every_view_is_accessible_on_every_screen(visit) {
  const { page } = visit;
  const check = (/** @type {string} */ view) => checkOnEveryScreen(visit, view);
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
  await page.getByRole("img", { name: /^Orders: Placed at most/ }).waitFor();
  await check("operations");
}

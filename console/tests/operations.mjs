// What an operator does with the console. The demo's operator token is that of every system that `cargo xtask` starts.
import assert from "node:assert/strict";
import { drawerOf, newReference, openOperations, pay, placeOrder } from "./helpers.mjs";
import { checkOnEveryScreen } from "./screens.mjs";

/** @typedef {import("./browse.mjs").Visit} Visit */

/** @param {Visit} visit */
export async function nobody_gets_in_without_the_operators_token({ page, shoot }) {
  await openOperations(page, "not-the-right-token");
  await page.getByRole("alert").getByText("Not authenticated.").waitFor();
  await shoot("operations-refused");
  await openOperations(page, "admin-demo-token");
  await page.getByRole("heading", { name: "Parked messages" }).waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  await page.getByLabel("Operator token").waitFor();
}

/** There are two parked messages: one that makes no sense, and one whose order is there by now.
 * @param {Visit} visit */
export async function what_is_parked_is_replayed_or_discarded(visit) {
  const { page, shoot } = visit;
  await openOperations(page, "admin-demo-token");
  const parked = page.getByRole("region", { name: "Parked messages" });
  const nonsense = parked.getByRole("row").filter({ hasText: "malformed" });
  const good = parked.getByRole("row").filter({ hasText: "gave up" });
  await nonsense.waitFor();
  await good.getByRole("button", { name: /^[a-z]+\/\d+$/ }).click();
  const message = page.getByRole("dialog", { name: /^Message / });
  await message.getByText('"specversion"').waitFor();
  await shoot("parked-message");
  await page.keyboard.press("Escape");
  await checkOnEveryScreen(visit, "parked");

  await good.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("status").getByText(/ is applied\.$/).waitFor();
  await good.waitFor({ state: "detached" });
  await nonsense.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("status").getByText(/still cannot be applied and is parked again/).waitFor();
  await nonsense.getByRole("button", { name: "Discard" }).click();
  await nonsense.getByRole("button", { name: "Discard for ever" }).click();
  await parked.getByText("Nothing is parked").waitFor();
}

/** @param {Visit} visit */
export async function operators_are_told_all_of_any_order(visit) {
  const { page } = visit;
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  await pay(drawer, "Insufficient funds");
  await drawer.getByRole("alert").waitFor();
  assert.equal(await drawer.getByText("Everything both services know").count(), 0, "it is for operators");
  const id = await drawer.locator("code").first().innerText();
  await page.keyboard.press("Escape");

  await openOperations(page, "admin-demo-token");
  const field = page.getByLabel("Order id");
  await field.fill(id);
  await field.press("Enter");
  const story = page.getByRole("dialog", { name: "What both services know" });
  await story.getByText("Attempt 1: declined").waitFor();
  await checkOnEveryScreen(visit, "story");
  await page.keyboard.press("Escape");
  assert.ok(await field.evaluate((element) => element === document.activeElement), "the focus is given back");
  await field.fill("nobody-knows-it");
  await field.press("Enter");
  await story.getByText("No service knows this order.").waitFor();
  await page.keyboard.press("Escape");

  await page.getByRole("link", { name: "Orders" }).click();
  await page.getByRole("row", { name: reference }).getByRole("link").click();
  await pay(drawer, "Approved");
  await drawer.getByText("Everything both services know").click();
  await drawer.getByText("Attempt 2: approved").waitFor();
  await drawer.getByText("Ledger: revenue").waitFor();
  await drawer.getByText("-$622.43").waitFor();
  await checkOnEveryScreen(visit, "drawer-operator");
}

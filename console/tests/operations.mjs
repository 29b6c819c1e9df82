// What an operator does with the console. The demo's operator token is that of every system that `cargo xtask` starts.
import assert from "node:assert/strict";
import { ask, drawerOf, hasFocus, newReference, openOperations, pay, placeOrder } from "./helpers.mjs";
import { checkOnEveryScreen } from "./screens.mjs";

/** @typedef {import("./browse.mjs").Visit} Visit */

/** @param {Visit} visit */
export async function nobody_gets_in_without_the_operators_token({ page, shoot }) {
  await openOperations(page, "not-the-right-token");
  await page.getByText("This is not the operators' token.").waitFor();
  assert.ok(await hasFocus(page.getByLabel("Operator token")), "what is wrong is where one goes on");
  await shoot("operations-refused");
  await openOperations(page, "admin-demo-token");
  await page.getByRole("heading", { name: "Parked messages" }).waitFor();
  assert.ok(await hasFocus(page.getByRole("heading", { name: "Operations" })), "the focus does not go with the form");
  await page.getByRole("button", { name: "Sign out" }).click();
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

/** Nothing else goes on, and the books were compared.
 * @param {Visit} visit */
export async function it_is_seen_how_both_services_stand_and_how_fast_they_are({ page, gateway }) {
  await openOperations(page, "admin-demo-token");
  const [states, events, books] = ["States", "Events", "Books"].map((name) => page.getByRole("region", { name }));
  assert.ok(states && events && books);
  await page.getByText("Nothing is late, parked or in doubt for long").waitFor();
  await books.getByText("All books agree").waitFor();
  await books.getByRole("row", { name: /^USD \$[\d,.]+ -\$/ }).waitFor();
  const created = states.locator("div", { has: page.getByText("Created", { exact: true }) }).last();
  const before = Number((await created.locator("dd").innerText()).replaceAll(",", ""));

  await page.getByRole("img", { name: /^Orders: Placed at most 0\/s/ }).waitFor();
  await ask(gateway, "POST", "/api/orders", { bill: 1 });
  await created.getByText((before + 1).toLocaleString("en"), { exact: true }).waitFor();
  await page.getByRole("img", { name: /^Orders: Placed at most 0\.[1-9]/ }).waitFor();
  await page.getByRole("img", { name: /: Placing at most [\d.]+ m?s/ }).waitFor();
  await page.getByRole("img", { name: /^Events on their way: Outboxes at most \d/ }).waitFor();
  await events.getByRole("row", { name: /^payment-create-event [\d.]+ m?s 0$/ }).waitFor();
  await events.getByRole("row", { name: "Orders – 0" }).waitFor();
}

/** One charge is in doubt, and for a long time nobody will ask the card processor by themselves.
 * @param {Visit} visit */
export async function a_charge_in_doubt_is_shown_and_settled(visit) {
  const { page } = visit;
  await openOperations(page, "admin-demo-token");
  const region = page.getByRole("region", { name: "Charges in doubt and refunds under way" });
  const row = region.getByRole("row").filter({ hasText: "$622.43" });
  await row.getByText("Charge", { exact: true }).waitFor();
  await row.scrollIntoViewIfNeeded();
  await checkOnEveryScreen(visit, "in-doubt");
  await row.getByRole("button", { name: /^Settle / }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("status").getByText("It is settled: the payment is paid.").waitFor();
  await region.getByText("Of every charge it is known whether it was made").waitFor();
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

// What a user of the console does with orders.
import assert from "node:assert/strict";
import { ask, drawerOf, hasFocus, historyTells, holdsFocus, newReference, pay, placeOrder } from "./helpers.mjs";

/** @typedef {import("./browse.mjs").Visit} Visit */

/** @param {Visit} visit */
export async function an_order_is_placed_paid_and_watched_until_it_is_delivered({ page, shoot }) {
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  await historyTells(drawer, "Placed");
  await drawer.getByRole("button", { name: "Pay $622.43" }).waitFor();
  await shoot("drawer-unpaid");
  await pay(drawer, "Approved");
  await historyTells(drawer, "Paid");
  await historyTells(drawer, "Delivered");
  await drawer.getByText("•••• 4242").waitFor();
  assert.equal(await drawer.getByRole("button", { name: "Cancel the order" }).count(), 0, "it is too late for that");
  await shoot("drawer-delivered");

  await page.keyboard.press("Escape");
  const row = page.getByRole("row", { name: reference });
  await row.getByText("Delivered").first().waitFor();
  await row.getByText("$622.43").waitFor();
  await shoot("orders");
}

/** @param {Visit} visit */
export async function a_declined_card_is_told_and_another_one_pays({ page, shoot }) {
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  await pay(drawer, "Insufficient funds");
  await drawer.getByRole("alert").getByText("The card was declined: insufficient funds.").waitFor();
  await historyTells(drawer, "Card declined: insufficient funds");
  await shoot("drawer-declined");
  await pay(drawer, "Approved");
  await historyTells(drawer, "Paid");
  assert.equal(await drawer.getByRole("alert").count(), 0, "the refusal is over");
}

/** The charge is in doubt at first, so there is time to cancel before anything is delivered.
 * @param {Visit} visit */
export async function a_charged_order_is_cancelled_and_the_money_comes_back({ page, shoot }) {
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  await pay(drawer, "Charged, but the answer is lost");
  await drawer.getByText("The card processor has not said yet").waitFor();
  await drawer.getByRole("button", { name: "Cancel the order" }).click();
  await drawer.getByRole("button", { name: /^Yes, cancel/ }).click();
  await historyTells(drawer, "Cancelled");
  await historyTells(drawer, "Money given back");
  const payment = drawer.getByRole("region", { name: "Payment" });
  await payment.getByText("Refunded").waitFor();
  assert.equal(await payment.getByText("$622.43").count(), 2, "charged and given back");
  await shoot("drawer-refunded");
}

/** @param {Visit} visit */
export async function an_order_of_items_costs_what_they_add_up_to({ page, shoot }) {
  const reference = newReference();
  await page.getByRole("button", { name: "New order" }).click();
  const window = page.getByRole("dialog", { name: "New order" });
  await window.getByLabel("Currency").selectOption("JPY");
  await window.getByRole("button", { name: "Add items" }).click();
  await window.getByRole("button", { name: "Place order" }).click();
  await window.getByText("Name it, with a whole quantity and a price.").waitFor();
  await window.getByLabel("Article").fill("LAMP-7");
  await window.getByLabel("Quantity").fill("3");
  await window.getByLabel("Price each").fill("4950");
  await window.getByLabel("Reference").fill(reference);
  await shoot("new-order");
  await window.getByRole("button", { name: "Place order of ¥14,850" }).click();
  const drawer = drawerOf(page, reference);
  await drawer.getByText("3 × ¥4,950").waitFor();
}

/** @param {Visit} visit */
export async function the_list_is_filtered_and_leads_from_page_to_page({ page, gateway }) {
  const reference = newReference();
  const placed = Array.from({ length: 21 }, () => ask(gateway, "POST", "/api/orders", { bill: 1, reference }));
  const [own] = await Promise.all(placed);
  await page.getByRole("row", { name: reference }).first().waitFor();
  await page.getByRole("button", { name: "Older" }).click();
  await page.getByText("Page 2").waitFor();
  await page.getByRole("button", { name: "Newer" }).click();
  await page.getByText("Page 1").waitFor();
  await page.getByRole("row", { name: reference }).filter({ hasText: "$0.01" }).first().waitFor();

  await page.getByRole("link", { name: "Cancelled" }).click();
  await page.getByRole("row", { name: reference }).first().waitFor({ state: "detached" });
  await ask(gateway, "DELETE", `/api/orders/${own.id}`);
  await page.locator(`a[href*="${own.id}"]`).waitFor();
}

/** @param {Visit} visit */
export async function a_lost_network_is_told_and_nothing_is_done_twice({ page, context, gateway, shoot }) {
  const [meanwhile, own] = [newReference(), newReference()];
  await page.getByText("Live", { exact: true }).waitFor();
  await context.setOffline(true);
  await page.getByText("Connection lost, trying again").waitFor();
  await ask(gateway, "POST", "/api/orders", { bill: 100, reference: meanwhile });

  await page.getByRole("button", { name: "New order" }).click();
  const window = page.getByRole("dialog", { name: "New order" });
  await window.getByLabel("Reference").fill(own);
  await window.getByRole("button", { name: "Place order" }).click();
  await window.getByRole("alert").getByText("The server cannot be reached.").waitFor();
  await shoot("network-lost");
  await context.setOffline(false);

  // The answer of the first time is lost on the way, what was asked for is not.
  let lost = 0;
  await page.route("**/api/orders", async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.continue();
    lost += 1;
    await route.fetch();
    return route.abort();
  });
  await window.getByRole("button", { name: "Place order" }).click();
  await window.getByRole("alert").getByText("it is carried out once").waitFor();
  await window.getByRole("button", { name: "Place order" }).click();
  await drawerOf(page, own).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("row", { name: meanwhile }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  assert.equal(lost, 1);
  assert.equal(await page.getByRole("row", { name: own }).count(), 1, "it was placed once");
}

/** @param {Visit} visit */
export async function a_pay_that_had_no_answer_is_paid_again_once_the_network_is_back({ page, context, shoot }) {
  const reference = newReference();
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  const submit = drawer.getByRole("button", { name: /^Pay / });
  await submit.waitFor();
  await context.setOffline(true);
  await submit.click();
  await drawer.getByText("Whether the card was charged is shown here").waitFor();
  await shoot("drawer-network-lost");
  await context.setOffline(false);
  await drawer.getByText("nothing was charged so far").waitFor();
  await submit.click();
  await historyTells(drawer, "Paid");
}

/** @param {Visit} visit */
export async function a_typed_card_is_kept_nowhere_in_the_page({ page }) {
  const [reference, number] = [newReference(), "5105105105105100"];
  await placeOrder(page, reference);
  const drawer = drawerOf(page, reference);
  const fill = async () => {
    await drawer.getByLabel("Card", { exact: true }).selectOption("typed");
    await drawer.getByLabel("Card number").fill(number);
    await drawer.getByLabel("Security code").fill("737");
  };
  await fill();
  await drawer.getByLabel("Expiry").fill("never");
  await drawer.getByRole("button", { name: /^Pay / }).click();
  await drawer.getByRole("alert").getByText("That is no card.").waitFor();
  await drawer.getByText("Must be a date as").waitFor();
  assert.ok(await hasFocus(drawer.getByLabel("Expiry")), "what is wrong is where one goes on");
  assert.equal(await drawer.getByLabel("Card number").inputValue(), "", "it is gone as soon as it is sent");
  await fill();
  await drawer.getByLabel("Expiry").fill("12/40");
  await drawer.getByRole("button", { name: /^Pay / }).click();
  await historyTells(drawer, "Paid");
  await drawer.getByText("•••• 5100").waitFor();
  const kept = await page.evaluate(async () => {
    const stores = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie, location.href];
    const inputs = [...document.querySelectorAll("input")].map((input) => input.value);
    const databases = (await indexedDB.databases()).map(({ name }) => name ?? "");
    return [...stores, ...inputs, ...databases, document.documentElement.outerHTML].join("\n");
  });
  assert.ok(!kept.includes(number), "the number is in the page");
}

/** Nothing is lost of what was done, nor where one was.
 * @param {Visit} visit */
export async function everything_can_be_done_by_keyboard({ page }) {
  const reference = newReference();
  const button = page.getByRole("button", { name: "New order" });
  await button.focus();
  await page.keyboard.press("Enter");
  const window = page.getByRole("dialog", { name: "New order" });
  await window.waitFor();
  await page.keyboard.press("Escape");
  await window.waitFor({ state: "detached" });
  assert.ok(await hasFocus(button), "the focus is given back");

  await page.keyboard.press("Enter");
  const amount = window.getByLabel("Amount");
  await amount.waitFor();
  assert.ok(await hasFocus(amount), "one begins in the first field");
  await amount.press("ControlOrMeta+A");
  await page.keyboard.type("twelve");
  await window.getByLabel("Reference").focus();
  await page.keyboard.type(reference);
  await page.keyboard.press("Enter");
  await window.getByText("Write an amount such as").waitFor();
  assert.ok(await hasFocus(amount), "what is wrong is where one goes on");
  await amount.press("ControlOrMeta+A");
  await page.keyboard.type("12");
  await page.keyboard.press("Enter");
  const drawer = drawerOf(page, reference);
  await drawer.getByRole("status").getByText("The order is placed.").waitFor();
  const card = drawer.getByLabel("Card", { exact: true });
  await card.focus();
  await page.keyboard.type("Insufficient");
  const submit = drawer.getByRole("button", { name: "Pay $12.00" });
  await submit.focus();
  await page.keyboard.press("Enter");
  await drawer.getByRole("alert").waitFor();
  assert.ok(await hasFocus(submit), "the button keeps the focus while it works");
  await card.focus();
  await page.keyboard.type("Approved");
  await submit.focus();
  await page.keyboard.press("Enter");
  await historyTells(drawer, "Paid");
  await submit.waitFor({ state: "detached" });
  assert.ok(await holdsFocus(drawer), "the focus does not go with the button");
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  const link = page.getByRole("row", { name: reference }).getByRole("link");
  await link.focus();
  await page.keyboard.press("Enter");
  await drawer.waitFor();
  assert.ok(await holdsFocus(drawer), "the focus is in the drawer");
}

/** @param {Visit} visit */
export async function a_refusal_is_told_in_words({ page, shoot }) {
  await page.getByRole("button", { name: "New order" }).click();
  const window = page.getByRole("dialog", { name: "New order" });
  await window.getByLabel("Amount").fill("twelve");
  await window.getByRole("button", { name: "Place order" }).click();
  await window.getByText("Write an amount such as 622.43.").waitFor();
  await window.getByLabel("Amount").fill("0");
  await window.getByRole("button", { name: "Place order" }).click();
  await window.getByRole("alert").getByText(/^Bill must be/).waitFor();
  await shoot("refused");
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "Demo user" }).click();
  await page.getByLabel("Access token").fill("somebody-elses");
  await page.getByRole("button", { name: "Use this token" }).click();
  await page.getByRole("alert").getByText("Not authenticated.").waitFor();
  await page.getByRole("button", { name: "Own token" }).click();
  await page.getByRole("button", { name: "Be the demo user" }).click();
  await page.getByRole("alert").waitFor({ state: "detached" });
}

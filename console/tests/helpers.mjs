// What people do on the page, and what can be asked beside it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

/** @typedef {import("playwright-core").Page} Page */

export const TOKEN = "thisisajwttoken";

/** A name that no other order has. */
export function newReference() {
  return `Browser ${randomUUID().slice(0, 8)}`;
}

/** Places an order as a person would; its drawer is open then.
 * @param {Page} page @param {string} reference @param {string} [amount] */
export async function placeOrder(page, reference, amount = "622.43") {
  await page.getByRole("button", { name: "New order" }).click();
  const window = page.getByRole("dialog", { name: "New order" });
  await window.getByLabel("Amount").fill(amount);
  await window.getByLabel("Reference").fill(reference);
  await window.getByRole("button", { name: "Place order" }).click();
  await drawerOf(page, reference).waitFor();
}

/** @param {Page} page @param {string} reference */
export function drawerOf(page, reference) {
  return page.getByRole("dialog", { name: reference });
}

/** @param {import("playwright-core").Locator} what */
export function hasFocus(what) {
  return what.evaluate((element) => element === document.activeElement);
}

/** The same, or something in it has.
 * @param {import("playwright-core").Locator} what */
export function holdsFocus(what) {
  return what.evaluate((element) => element.contains(document.activeElement));
}

/** Pays the order whose drawer is open.
 * @param {import("playwright-core").Locator} drawer @param {string} card its label begins like this */
export async function pay(drawer, card) {
  const select = drawer.getByLabel("Card", { exact: true });
  const option = select.locator("option", { hasText: card }).first();
  await select.selectOption((await option.getAttribute("value")) ?? "");
  await drawer.getByRole("button", { name: /^Pay / }).click();
}

/** Waits until the order's history tells of this.
 * @param {import("playwright-core").Locator} drawer @param {string} what */
export async function historyTells(drawer, what) {
  await drawer.getByRole("region", { name: "History" }).getByText(what, { exact: true }).waitFor();
}

/** With the token of operators.
 * @param {Page} page @param {string} token */
export async function openOperations(page, token) {
  await page.getByRole("link", { name: "Operations" }).click();
  await page.getByLabel("Operator token").fill(token);
  await page.getByRole("button", { name: "Open" }).click();
}

/** Asks the API as another program would.
 * @param {string} gateway @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export async function ask(gateway, method, path, body) {
  const answer = await fetch(gateway + path, {
    method,
    headers: { Authorization: TOKEN, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return (await answer.json()).data;
}

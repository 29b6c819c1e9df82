// The page that describes the API, which is not ours but for its surroundings.

/** @typedef {import("./browse.mjs").Visit} Visit */

const WIDTH = 390;

/** @param {Visit} visit */
export async function the_page_of_the_api_fits_a_phone({ page, gateway, shoot }) {
  await page.setViewportSize({ width: WIDTH, height: 844 });
  await page.goto(`${gateway}/api/docs`);
  for (const operation of ["orders-createOrder", "payments-payOrder", "webhooks-createWebhook"]) {
    const block = page.locator(`#operations-${operation}`);
    const summary = block.locator(".opblock-summary-control");
    await summary.click();
    await block.locator(".responses-table").waitFor();
    await shoot(`documents-${operation}`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > WIDTH) throw new Error(`${operation} is ${width} pixels wide`);
    await summary.click();
  }
}

// What the last comparison of all books has found, and the balances of the ledger then.

import { formatMoney } from "../money";
import { Moment, State, inWords } from "../parts";
import type { Reconciliation } from "./overview";
import { Panel, formatCount } from "./panel";

export function Books({ last }: { last: Reconciliation | null }) {
  return (
    <Panel title="Books">
      {!last && (
        <p class="faint">
          They have not been compared yet. <code>cargo xtask reconcile</code> does it and tells it here.
        </p>
      )}
      {last && (
        <>
          <p class="between">
            {last.differences === 0 ? (
              <State of="good">All books agree</State>
            ) : (
              <State of="bad">{formatCount(last.differences)} differences</State>
            )}
            <span class="faint small">
              compared <Moment at={last.finishedAt} is="past" />
            </span>
          </p>
          <Balances of={last.balances} />
          <p class="faint small">
            Compared: {Object.entries(last.compared).map(([kind, count]) => `${formatCount(count)} ${kind.replaceAll("_", " ")}`).join(", ")}.
          </p>
        </>
      )}
    </Panel>
  );
}

/** What the accounts of the ledger have. */
function Balances({ of }: { of: Record<string, number> }) {
  const balances = Object.entries(of).map(([key, minor]) => {
    const [account = "", currency = ""] = key.split(" ");
    return { account, currency, minor };
  });
  const accounts = [...new Set(balances.map(({ account }) => account))].sort();
  const currencies = [...new Set(balances.map(({ currency }) => currency))].sort();
  if (balances.length === 0) return null;
  return (
    <table class="plain">
      <caption class="unseen">The ledger’s balances</caption>
      <thead>
        <tr>
          <th scope="col">Ledger</th>
          {accounts.map((account) => (
            <th key={account} scope="col" class="number">{inWords(account)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {currencies.map((currency) => {
          const own = balances.filter((balance) => balance.currency === currency);
          return (
            <tr key={currency}>
              <th scope="row">{currency}</th>
              {accounts.map((account) => (
                <td key={account} class="number">
                  {formatMoney(own.find((balance) => balance.account === account)?.minor ?? 0, currency)}
                </td>
              ))}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

// The part of Insomnia's scripting interface that the collection uses
// (https://developer.konghq.com/insomnia/scripts/). Whatever else a script asks for throws.

const AsyncFunction = (async () => {}).constructor;

globalThis.run = async (script, input) => {
  const { environment, response } = JSON.parse(input);
  const outcome = { environment, assertions: [], nextRequest: null, failure: null };

  const insomnia = only('insomnia', {
    environment: only('insomnia.environment', {
      get: (name) => environment[name],
      set: (name, value) => {
        environment[name] = value;
      },
    }),
    execution: only('insomnia.execution', {
      setNextRequest: (name) => {
        outcome.nextRequest = name;
      },
    }),
    response: response && only('insomnia.response', { ...response, json: () => JSON.parse(response.body) }),
    test: (name, assertion) => outcome.assertions.push({ name, failure: failureOf(assertion) }),
    expect,
  });

  try {
    await new AsyncFunction('insomnia', 'setTimeout', script)(insomnia, setTimeout);
  } catch (error) {
    outcome.failure = `${error}`;
  }
  return JSON.stringify(outcome);
};

/** Members and no others: an assertion that does not exist must not pass for one that holds. */
function only(name, members) {
  return new Proxy(members, {
    get(target, member) {
      if (member in target) return target[member];
      throw new TypeError(`${name}.${String(member)} is not supported here`);
    },
  });
}

function failureOf(assertion) {
  try {
    assertion();
    return null;
  } catch (error) {
    return error.message;
  }
}

function setTimeout(callback, milliseconds) {
  pause(milliseconds);
  callback();
}

/** As chai has it. */
function expect(actual) {
  const check = (holds, expectation) => {
    if (!holds) throw new Error(`expected ${JSON.stringify(actual)} ${expectation}`);
  };
  return only('expect(…)', {
    to: only('expect(…).to', {
      eql: (expected) => check(isEqual(actual, expected), `to be ${JSON.stringify(expected)}`),
      include: (part) => check(actual.includes(part), `to include ${JSON.stringify(part)}`),
      match: (pattern) => check(pattern.test(actual), `to match ${pattern}`),
      be: only('expect(…).to.be', {
        a: (type) => check(typeof actual === type, `to be a ${type}`),
        least: (bound) => check(actual >= bound, `to be at least ${bound}`),
        oneOf: (choices) => check(choices.includes(actual), `to be one of ${JSON.stringify(choices)}`),
      }),
    }),
  });
}

function isEqual(a, b) {
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  const names = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === Object.keys(b).length &&
    names.every((name) => name in b && isEqual(a[name], b[name]))
  );
}

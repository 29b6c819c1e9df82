// The operations: how the system is, for whoever runs it.

export function Operations() {
  return <h1>Operations</h1>;
}

// What an operator does with the console.
export {};

// What the pages use and TypeScript's own declarations of the DOM do not have.
export {};

import { defineConfig } from "tsup"

// tsc -b writes the declarations; tsup writes the JavaScript only (its own dts needs a compiler API TypeScript 7 has not).
export default defineConfig({
  entry: ["src/*.ts"],
  format: "esm",
  target: "node22",
  dts: false,
  clean: false,
  sourcemap: true,
  splitting: true,
  // `node:sqlite` has no name without its protocol.
  removeNodeProtocol: false
})

/** A purchasing agent for a warehouse. `selvage graph examples/restock` draws its graphs. */
export { Buyer, Restock } from "./Restock.ts"

/**
 * Graphs, threads and the journal: the runtime of Selvage.
 *
 * The journal on SQL stands at `@selvage/core/SqlJournal`, so that programs without one do not load it.
 *
 * @since 0.1.0
 */
export * as Ask from "./Ask.ts"
export * as Bound from "./Bound.ts"
export * as Channel from "./Channel.ts"
export * as Durable from "./Durable.ts"
export * as Edge from "./Edge.ts"
export * as Entry from "./Entry.ts"
export * as Errors from "./Errors.ts"
export * as Event from "./Event.ts"
export * as Graph from "./Graph.ts"
export * as Journal from "./Journal.ts"
export * as Lease from "./Lease.ts"
export * as Limit from "./Limit.ts"
export * as Messages from "./Messages.ts"
export * as Migration from "./Migration.ts"
export * as Node from "./Node.ts"
export * as Policy from "./Policy.ts"
export * as Task from "./Task.ts"
export * as Thread from "./Thread.ts"

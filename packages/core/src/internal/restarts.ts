// Tells who listens which text of a model is void: that of a task that begins again before it was done.
import * as Effect from "effect/Effect"
import type { Event } from "../Event.ts"

interface Place {
  readonly path: string
  readonly task: string
}

const keyOf = ({ path, task }: Place) => `${path}\u0000${task}`

/** A listener that is also told when the text that it got from a task is void. */
export const telling = (emit: (event: Event) => Effect.Effect<void>): ((event: Event) => Effect.Effect<void>) => {
  // The tasks that have told a text and are not done.
  const told = new Map<string, Place>()
  const restarted = ({ path, task }: Place) => {
    told.delete(keyOf({ path, task }))
    return emit({ _tag: "Restarted", path, task })
  }
  return (event) => {
    switch (event._tag) {
      case "Token":
        told.set(keyOf(event), event)
        return emit(event)
      case "Restarted":
        return told.has(keyOf(event)) ? restarted(event) : Effect.void
      case "TaskStarted":
        return told.has(keyOf(event)) ? Effect.andThen(restarted(event), emit(event)) : emit(event)
      case "Journaled": {
        const { entry } = event
        // The tasks of the run before are not gone on with.
        if (entry._tag === "RunStarted" && told.size > 0) {
          return Effect.andThen(
            Effect.suspend(() => Effect.forEach(Array.from(told.values()), restarted, { discard: true })),
            emit(event)
          )
        }
        if (entry._tag === "TaskCompleted") told.delete(keyOf({ path: entry.path, task: entry.result.task }))
        if (entry._tag === "StepCommitted")
          for (const task of entry.tasks) told.delete(keyOf({ path: entry.path, task }))
        return emit(event)
      }
      default:
        return emit(event)
    }
  }
}

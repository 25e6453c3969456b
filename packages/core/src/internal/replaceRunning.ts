// An input that takes the place of the runs under way.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { RunReplaced } from "../Errors.ts"
import type { Journal } from "../Journal.ts"
import type { Compiled } from "./compile.ts"
import { restore, type Run, startState } from "./frame.ts"
import { isKnown } from "./mailbox.ts"
import { open, type Opened } from "./open.ts"
import { emptyFrame, emptyReplay } from "./replay.ts"
import * as UnderWay from "./underWay.ts"

/** Ends the runs of this process that are under way, once it is known that there is something to replace them. */
export const replaceRunning = Effect.fnUntraced(function* (
  journal: Journal["Service"],
  graph: Compiled,
  { input, run, thread }: { readonly thread: string; readonly input?: unknown; readonly run?: string | undefined }
) {
  const runs = UnderWay.of(journal, thread)
  if (runs.length === 0) return
  const { log } = yield* open(journal, thread, graph).pipe(
    Effect.catchTag("ThreadNotFound", () => Effect.succeed<Opened>({ id: undefined, log: emptyReplay() }))
  )
  // A run that was started already replaces nothing, not even itself.
  const known = run !== undefined && isKnown(log, run)
  if (!known) {
    const nobody: Run = { journal: undefined, emit: undefined, committed: undefined, traced: false }
    const frame = yield* Effect.fromResult(restore(nobody, graph, "", log.frames.get("") ?? emptyFrame(), true))
    yield* Effect.fromResult(startState(graph, input, true, frame.state))
  }
  for (const { ended, replaced } of runs) {
    if (!known) yield* Deferred.fail(replaced, new RunReplaced({ thread }))
    if (!known || run === log.runKey) yield* Deferred.await(ended)
  }
})

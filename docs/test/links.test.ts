import { stat } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { describe, expect, test } from "vitest"
import { documents, root, text } from "./documents.ts"

const withoutCode = (markdown: string) => markdown.replace(/^```[^]*?^```$/gm, "").replace(/`[^`\n]*`/g, "code")

/** The anchors of a document, as GitHub names them. */
const anchors = async (file: string): Promise<ReadonlySet<string>> => {
  const seen = new Map<string, number>()
  const headings = (await text(file)).replace(/^```[^]*?^```$/gm, "").matchAll(/^#{1,6} +(.+)$/gm)
  return new Set(
    Array.from(headings, ([, heading = ""]) => {
      const slug = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-")
      const times = seen.get(slug) ?? 0
      seen.set(slug, times + 1)
      return times === 0 ? slug : `${slug}-${times}`
    })
  )
}

const broken = async (file: string): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const [, target = ""] of withoutCode(await text(file)).matchAll(/\]\(([^)\s]+)[^)]*\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [path = "", anchor] = target.split("#")
    const to = path === "" ? file : relative(root, join(root, dirname(file), path))
    const known = await stat(join(root, to)).then(
      () => true,
      () => false
    )
    if (!known || to.startsWith("..")) found.push(`${target}: there is no ${to}`)
    else if (anchor !== undefined && to.endsWith(".md") && !(await anchors(to)).has(anchor)) {
      found.push(`${target}: ${to} has no heading "${anchor}"`)
    }
  }
  return found
}

const all = await documents()

describe("the links of a document lead somewhere", () => {
  test.for(all)("%s", async (file) => {
    expect(await broken(file)).toEqual([])
  })
})

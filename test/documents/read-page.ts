import { fromMarkdown } from "mdast-util-from-markdown";

/** A fenced block of a page, and what the page says about running it. */
export interface Block {
  /** Line of its fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Why it is not run: the comment `<!-- not run: … -->` directly above it. */
  readonly notRun: string | null;
  /** A program that it needs beside the usual ones: the comment `<!-- needs: … -->` above it. */
  readonly needs: string | null;
  /** The file that it is, where its own text may not say so: the comment `<!-- file: … -->`. */
  readonly file: string | null;
}

export interface Page {
  /** From the comment `<!-- scenario: … -->`; `dev` where there is none. */
  readonly scenario: string;
  readonly blocks: readonly Block[];
}

type Node = ReturnType<typeof fromMarkdown> | ReturnType<typeof fromMarkdown>["children"][number];

const SCENARIO = /^<!--\s*scenario:\s*([a-z][a-z0-9-]*)\s*-->$/;
const NEEDS = /^<!--\s*needs:\s*([a-z]+)\s*-->$/;
const FILE = /^<!--\s*file:\s*((?:[\w-]+[\w.-]*\/)*[\w-]+[\w.-]*\.[a-z]+)\s*-->$/;
const NOT_RUN = /^<!--\s*not run:\s*([\s\S]+?)\s*-->$/;

/** Reads a page of Markdown (CommonMark), blocks inside lists and quotes included. */
export function readPage(markdown: string): Page {
  const blocks: Block[] = [];
  let scenario = "dev";
  let notRun: string | null = null;
  let needs: string | null = null;
  let file: string | null = null;
  for (const node of flat(fromMarkdown(markdown))) {
    if (node.type === "html") {
      scenario = SCENARIO.exec(node.value)?.[1] ?? scenario;
      needs = NEEDS.exec(node.value)?.[1] ?? null;
      file = FILE.exec(node.value)?.[1] ?? null;
      notRun = NOT_RUN.exec(node.value)?.[1]?.replaceAll(/\s+/g, " ") ?? null;
    } else if (node.type === "code") {
      const line = node.position?.start.line ?? 0;
      blocks.push({ line, language: node.lang ?? "", text: node.value, notRun, needs, file });
      notRun = null;
      needs = null;
      file = null;
    } else if (node.type === "text" || node.type === "paragraph" || node.type === "heading") {
      notRun = null;
      needs = null;
      file = null;
    }
  }
  return { scenario, blocks };
}

const flat = (node: Node): readonly Node[] => [
  node,
  ...("children" in node ? node.children.flatMap((child) => flat(child as Node)) : []),
];

const FILE_COMMENT = /^(?:#|\/\/|--)\s*((?:[\w-]+[\w.-]*\/)*[\w-]+[\w.-]*\.[a-z]+)\s*$/;

/** The file that a block shows, if a comment names one: its first line, or the one above it. */
export function fileOf(block: Block): { readonly path: string; readonly text: string } | null {
  if (block.file !== null) return { path: block.file, text: block.text };
  const [first = "", ...rest] = block.text.split("\n");
  const path = FILE_COMMENT.exec(first.trim())?.[1];
  if (path === undefined) return null;
  // JSON has no comments: the line is for the reader alone.
  return { path, text: block.language === "json" ? rest.join("\n") : block.text };
}

import type { ErrorCode } from "yaml";

/**
 * What is wrong with a text that is no YAML, by the code of the library's error. Its own messages
 * are not shown: they quote the text, and that may be a password without quotes around it.
 */
export const YAML_ERRORS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: "an alias (*) has an anchor or a tag",
  BAD_ALIAS: "an alias (*) or an anchor (&) without a usable name",
  BAD_COLLECTION_TYPE: "a tag (!) that does not fit what it stands before",
  BAD_DIRECTIVE: "a directive (%) that means nothing here",
  BAD_DQ_ESCAPE: "a backslash in double quotes that begins no known escape",
  BAD_INDENT: "the indentation does not fit the lines above",
  BAD_PROP_ORDER: "an anchor (&) or a tag (!) stands where it belongs to nothing",
  BAD_SCALAR_START: "a text cannot begin so; put it in quotes",
  BLOCK_AS_IMPLICIT_KEY:
    "a mapping or a list begins within a line; put a text with a colon in quotes",
  BLOCK_IN_FLOW: "lines by indentation stand within brackets",
  DUPLICATE_KEY: "a key stands twice",
  IMPOSSIBLE: "it cannot be read",
  KEY_OVER_1024_CHARS: "a key is longer than 1024 characters",
  MISSING_CHAR: "a character is missing: a colon, a comma, a quote, a bracket or a space",
  MULTILINE_IMPLICIT_KEY: "a key goes over more than one line",
  MULTIPLE_ANCHORS: "more than one anchor (&); put a text that begins with & in quotes",
  MULTIPLE_DOCS: "more than one document",
  MULTIPLE_TAGS: "more than one tag (!); put a text that begins with ! in quotes",
  NON_STRING_KEY: "a key is no text",
  RESOURCE_EXHAUSTION: "it is nested too deeply",
  TAB_AS_INDENT: "a tab stands where spaces indent",
  TAG_RESOLVE_FAILED: "a tag (!) that means nothing here; put a text that begins with ! in quotes",
  UNEXPECTED_TOKEN:
    "something stands where nothing is expected; put a text with such signs in quotes",
};

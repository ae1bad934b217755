/**
 * On which line a key of a TOML document stands (TOML 1.0.0). The parser gives values and forgets where they were;
 * this second pass over the same text keeps only the places. It expects a document the parser has accepted, so it
 * judges nothing, and its recursion is bounded by the depth the parser was told to accept.
 */
import { parse } from "smol-toml";
import { assert } from "../base/assert.ts";
import { CONFIG_DEPTH_MAX } from "../base/limits.ts";

/** Keys as strings, positions in a list as numbers from 0. */
export type KeyPath = readonly (string | number)[];

export interface Spot {
  /** From 1. For a key the line of the key itself, for a list entry the line where the entry starts. */
  readonly line: number;
  /** How a number, date or boolean is written; undefined for strings, lists and tables. */
  readonly text: string | undefined;
}

interface Cursor {
  readonly text: string;
  at: number;
  line: number;
  readonly spots: Map<string, Spot>;
  /** How many tables each `[[list]]` has so far. */
  readonly counts: Map<string, number>;
}

export function spotKey(path: KeyPath): string {
  return JSON.stringify(path);
}

/**
 * Every table, key and list entry of the document, by `spotKey`. A path deeper than CONFIG_DEPTH_MAX is cut one level
 * below it: enough to see that it is too deep, and a key of a thousand dots costs no more than one of ten.
 */
export function locate(text: string): ReadonlyMap<string, Spot> {
  const at = text.startsWith("\ufeff") ? 1 : 0;
  const cursor: Cursor = { text, at, line: 1, spots: new Map(), counts: new Map() };
  let table: KeyPath = [];
  for (skipVoid(cursor); cursor.at < text.length; skipVoid(cursor)) {
    const before = cursor.at;
    if (text[cursor.at] === "[") table = readHeader(cursor);
    else readPair(cursor, table);
    assert(cursor.at > before, "the key locator advances");
  }
  return cursor.spots;
}

/** `[table]` or `[[list]]`: the path its keys belong to, with the position in every list on the way. */
function readHeader(cursor: Cursor): KeyPath {
  const line = cursor.line;
  const isList = cursor.text[cursor.at + 1] === "[";
  moveTo(cursor, cursor.at + (isList ? 2 : 1));
  const keys = readKey(cursor);
  moveTo(cursor, cursor.at + (isList ? 2 : 1));
  let path: KeyPath = [];
  for (const key of keys.slice(0, -1).slice(0, CONFIG_DEPTH_MAX)) {
    path = [...path, key];
    note(cursor, path, line);
    const count = cursor.counts.get(spotKey(path));
    if (count !== undefined) path = [...path, count - 1];
  }
  path = [...path, ...keys.slice(-1)];
  if (!isList) {
    cursor.spots.set(spotKey(path), { line, text: undefined });
    return path;
  }
  note(cursor, path, line);
  const count = cursor.counts.get(spotKey(path)) ?? 0;
  cursor.counts.set(spotKey(path), count + 1);
  path = [...path, count];
  note(cursor, path, line);
  return path;
}

/** `a.b = value` under `table`. */
function readPair(cursor: Cursor, table: KeyPath): void {
  const line = cursor.line;
  const keys = readKey(cursor);
  moveTo(cursor, cursor.at + 1);
  skipVoid(cursor);
  let path = table;
  for (const key of keys.slice(0, CONFIG_DEPTH_MAX + 1)) {
    path = [...path, key];
    note(cursor, path, line);
  }
  readValue(cursor, path, line);
}

function readValue(cursor: Cursor, path: KeyPath, line: number): void {
  const first = cursor.text[cursor.at];
  cursor.spots.set(spotKey(path), { line, text: undefined });
  if (first === '"' || first === "'") {
    moveTo(cursor, stringEnd(cursor.text, cursor.at));
  } else if (first === "[") {
    readItems(cursor, "]", (index) => readValue(cursor, [...path, index], cursor.line));
  } else if (first === "{") {
    readItems(cursor, "}", () => readPair(cursor, path));
  } else {
    const end = match(/[^,\]}#\r\n]*/y, cursor);
    cursor.spots.set(spotKey(path), { line, text: cursor.text.slice(cursor.at, end).trim() });
    moveTo(cursor, end);
  }
}

/** The comma-separated inside of a list or an inline table, up to and including `close`. */
function readItems(cursor: Cursor, close: string, readItem: (index: number) => void): void {
  moveTo(cursor, cursor.at + 1);
  for (let index = 0; cursor.at < cursor.text.length; index += 1) {
    skipVoid(cursor);
    if (cursor.text[cursor.at] === close) break;
    const before = cursor.at;
    readItem(index);
    assert(cursor.at > before, "the key locator advances");
    skipVoid(cursor);
    if (cursor.text[cursor.at] === ",") moveTo(cursor, cursor.at + 1);
  }
  moveTo(cursor, cursor.at + 1);
}

/** A dotted key; stops at the `=` or `]` behind it. */
function readKey(cursor: Cursor): string[] {
  const keys: string[] = [];
  while (cursor.at < cursor.text.length) {
    moveTo(cursor, match(/[ \t]*/y, cursor));
    const start = cursor.at;
    const isQuoted = cursor.text[start] === '"' || cursor.text[start] === "'";
    moveTo(cursor, isQuoted ? stringEnd(cursor.text, start) : match(/[A-Za-z0-9_-]*/y, cursor));
    const written = cursor.text.slice(start, cursor.at);
    keys.push(isQuoted ? String(parse(`key = ${written}`).key) : written);
    moveTo(cursor, match(/[ \t]*/y, cursor));
    if (cursor.text[cursor.at] !== ".") break;
    moveTo(cursor, cursor.at + 1);
  }
  return keys;
}

/** Behind the closing quotes of any of the four kinds of string. */
function stringEnd(text: string, start: number): number {
  const quote = text.charAt(start);
  const isLong = text.startsWith(quote.repeat(3), start);
  const close = isLong ? quote.repeat(3) : quote;
  let at = start + close.length;
  while (at < text.length && !text.startsWith(close, at)) {
    at += quote === '"' && text[at] === "\\" ? 2 : 1;
  }
  at += close.length;
  // A multi-line string may end in up to two quotes of its own.
  for (let extra = 0; isLong && extra < 2 && text[at] === quote; extra += 1) at += 1;
  return at;
}

/** White space, line ends and comments. */
function skipVoid(cursor: Cursor): void {
  for (let end = -1; end !== cursor.at; ) {
    moveTo(cursor, match(/[ \t\r\n]*/y, cursor));
    end = cursor.at;
    moveTo(cursor, match(/(?:#[^\n]*)?/y, cursor));
  }
}

/** Where a sticky pattern that may match nothing ends. */
function match(pattern: RegExp, cursor: Cursor): number {
  pattern.lastIndex = cursor.at;
  pattern.test(cursor.text);
  return Math.max(pattern.lastIndex, cursor.at);
}

function moveTo(cursor: Cursor, end: number): void {
  for (let at = cursor.at; at < end; at += 1) if (cursor.text[at] === "\n") cursor.line += 1;
  cursor.at = end;
}

/** The first mention of a table stands until its own header is seen. */
function note(cursor: Cursor, path: KeyPath, line: number): void {
  const key = spotKey(path);
  if (!cursor.spots.has(key)) cursor.spots.set(key, { line, text: undefined });
}

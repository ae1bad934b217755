/** A stream of log lines as they come. What is not a line of our log is kept, with an empty event. */

export interface Line {
  readonly event: string;
  readonly level: string;
  /** The whole line as it was written. */
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Lines {
  readonly lines: readonly Line[];
  text(): string;
  readonly done: Promise<void>;
}

export function readLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Lines {
  const lines: Line[] = [];
  let text = "";
  let partial = "";
  const read = async (): Promise<void> => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const parts = (partial + chunk).split("\n");
      partial = parts.pop() ?? "";
      lines.push(...parts.map(parseLine));
    }
    if (partial !== "") lines.push(parseLine(partial));
  };
  return { lines, text: () => text, done: read() };
}

function parseLine(text: string): Line {
  const plain: Line = { event: "", level: "", text, fields: {} };
  if (!text.startsWith("{")) return plain;
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    return { event: String(fields.event ?? ""), level: String(fields.level ?? ""), text, fields };
  } catch {
    return plain;
  }
}

/**
 * Names of networks, coalitions, providers and regions: UTF-8 in NFC, at most 64 bytes, no control characters,
 * white space or `|` (DESIGN section 4). Anything else is refused, not repaired.
 */
import { utf8 } from "./bytes.ts";
import { BridgeError } from "./errors.ts";
import { NAME_BYTES_MAX } from "./limits.ts";

export function checkName(name: string, what: string): string {
  const problem =
    name.length === 0
      ? "is empty"
      : name !== name.normalize("NFC")
        ? "is not in Unicode form NFC"
        : utf8(name).length > NAME_BYTES_MAX
          ? `is longer than ${NAME_BYTES_MAX} bytes`
          : /[\p{Cc}\p{Cf}\p{Cs}\s|]/u.test(name)
            ? "contains a control character, white space or |"
            : undefined;
  if (problem !== undefined) {
    throw new BridgeError("malformed", `${what} ${JSON.stringify(name)} ${problem}`, {
      fix: "choose a name of letters, digits and - _ .",
    });
  }
  return name;
}

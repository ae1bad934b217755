/** A secret has a type of its own, whose every printed form is a placeholder. */
import { inspect } from "node:util";
import { zero } from "./bytes.ts";

const PLACEHOLDER = "[secret]";

export class Secret<T extends Uint8Array | string = Uint8Array> {
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The only way to the value: easy to find in a review. */
  reveal(): T {
    return this.#value;
  }

  /** Overwrites bytes; a string can only be dropped. */
  erase(): void {
    if (this.#value instanceof Uint8Array) zero(this.#value);
    else this.#value = "" as T;
  }

  toString(): string {
    return PLACEHOLDER;
  }

  toJSON(): string {
    return PLACEHOLDER;
  }

  [inspect.custom](): string {
    return PLACEHOLDER;
  }
}

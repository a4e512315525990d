// The host's log, settings, clock and random numbers.

import { AREA, bytesAt, mayCallHost, end, optionalTextAt, textAt, utf8 } from "./abi";
import { Outcome, builtins } from "./failure";

// @ts-ignore: decorator
@external("wasi:logging/logging@0.1.0-draft", "log")
declare function host_log(level: i32, context: usize, contextLength: i32, text: usize, length: i32): void;

// @ts-ignore: decorator
@external("wasi:config/store@0.2.0-rc.1", "get")
declare function host_config_get(key: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:config/store@0.2.0-rc.1", "get-all")
declare function host_config_get_all(area: usize): void;

// @ts-ignore: decorator
@external("wasi:clocks/wall-clock@0.2.0", "now")
declare function host_now(area: usize): void;

// @ts-ignore: decorator
@external("wasi:random/random@0.2.0", "get-random-bytes")
declare function host_random_bytes(length: u64, area: usize): void;

// @ts-ignore: decorator
@external("wasi:random/random@0.2.0", "get-random-u64")
declare function host_random_u64(): u64;

function write(level: i32, message: string): void {
  const bytes = utf8(message);
  host_log(level, 0, 0, changetype<usize>(bytes), bytes.byteLength);
}

/** Lines in the host's log. They carry the plugin's name and the request's id by themselves. */
export namespace log {
  export function trace(message: string): void {
    write(0, message);
  }

  export function debug(message: string): void {
    write(1, message);
  }

  export function info(message: string): void {
    write(2, message);
  }

  export function warn(message: string): void {
    write(3, message);
  }

  export function error(message: string): void {
    write(4, message);
  }

  export function critical(message: string): void {
    write(5, message);
  }
}

/** The settings under `[config]` of plugin.toml, and the secrets that `[secrets]` names there. */
export namespace config {
  /** The setting or the secret of this name; null also where a secret cannot be read now. */
  export function get(name: string): string | null {
    const bytes = utf8(name);
    host_config_get(changetype<usize>(bytes), bytes.byteLength, AREA);
    return load<u8>(AREA) == 0 ? optionalTextAt(AREA + 4) : null;
  }

  export function getOr(name: string, otherwise: string): string {
    const value = get(name);
    return value !== null ? value : otherwise;
  }

  /** A setting that is a decimal number; a `ValueError` that names it if it is none. */
  export function integerOr(name: string, otherwise: i64): Outcome<i64> {
    const value = get(name);
    if (value === null) return Outcome.of(otherwise);
    const number = I64.parseInt(value, 10);
    if (number.toString() == value.trim()) return Outcome.of(number);
    return Outcome.failed<i64>(builtins.valueError(`setting \`${name}\` of the plugin is wrong: \`${value}\` is no plain integer`));
  }

  /** Every setting, without the secrets. */
  export function all(): Map<string, string> {
    const settings = new Map<string, string>();
    host_config_get_all(AREA);
    if (load<u8>(AREA) != 0) return settings;
    const start: usize = load<u32>(AREA, 4);
    const count = load<i32>(AREA, 8);
    for (let i = 0; i < count; i++) settings.set(textAt(start + i * 16), textAt(start + i * 16 + 8));
    return settings;
  }
}

/** The host's clock, where the operator granted it with `clocks = true`. */
export namespace clock {
  /** Nanoseconds since 1970. */
  export function now(): u64 {
    host_now(AREA);
    return load<u64>(AREA) * 1_000_000_000 + load<u32>(AREA, 8);
  }
}

/** Random numbers that cannot be predicted, where the operator granted them with `random = true`. */
export namespace random {
  export function bytes(length: i32): Uint8Array {
    host_random_bytes(length, AREA);
    return bytesAt(AREA);
  }

  /** 64 random bits. */
  export function bits(): u64 {
    return host_random_u64();
  }
}

/** In place of `env.abort`, which no host has: what ends the instance is said before it does. */
// @ts-ignore: decorator
@global
export function endpointdAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (mayCallHost()) {
    // If this fails as well, it fails in silence.
    end();
    log.error(`${file}:${line}:${column}: ${message}`);
  }
  unreachable();
}

/** In place of `env.seed`: `Math.random` begins with a number of the host, where `random` is granted. */
// @ts-ignore: decorator
@global
export function endpointdSeed(): f64 {
  return reinterpret<f64>(random.bits());
}

/** In place of `env.console.log` and its like: lines in the host's log. */
// @ts-ignore: decorator
@global
export namespace endpointdConsole {
  export function log(message: string): void {
    write(2, message);
  }

  export function debug(message: string): void {
    write(1, message);
  }

  export function info(message: string): void {
    write(2, message);
  }

  export function warn(message: string): void {
    write(3, message);
  }

  export function error(message: string): void {
    write(4, message);
  }
}

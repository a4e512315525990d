/** Python's own exceptions that JavaScript does not have: every caller gets them as themselves. */

import { Failure } from "./failure.js";

export class AssertionError extends Failure {}
export class AttributeError extends Failure {}
export class IndexError extends Failure {}
export class LookupError extends Failure {}
export class NotImplementedError extends Failure {}
export class OSError extends Failure {}
export class OverflowError extends Failure {}
export class PermissionError extends Failure {}
export class RuntimeError extends Failure {}
export class TimeoutError extends Failure {}
export class ValueError extends Failure {}

export class KeyError extends Failure {
  constructor(key, options) {
    super(`'${key}'`, options);
  }
}

// JSON values. Reading and writing their text is in `parse.ts` and `write.ts`.

/** What a method gives back: a `Json`, or a `Failure`. */
export class Reply {}

/** What a JSON value is. */
export enum Kind {
  Null,
  Bool,
  /** Within i64, and exact. */
  Integer,
  /** Any other number: written with a point or an exponent, or beyond i64. */
  Float,
  Text,
  List,
  Object,
}

/**
 * A JSON value. Nothing that reads one traps: what is not there, or is not of the kind asked for, is null, empty or the
 * default given.
 */
export class Json extends Reply {
  private number: u64 = 0;
  private content: string | null = null;
  private list: Json[] | null = null;
  private entries: Map<string, Json> | null = null;

  private constructor(readonly kind: Kind) {
    super();
  }

  /** Null. */
  static readonly NULL: Json = new Json(Kind.Null);

  /** A list without items. */
  static list(): Json {
    const json = new Json(Kind.List);
    json.list = [];
    return json;
  }

  /** An object without entries. */
  static object(): Json {
    const json = new Json(Kind.Object);
    json.entries = new Map();
    return json;
  }

  /**
   * A value of the language: bool, integers, floats, string, `Json`, and arrays of these; null is null. An u64 beyond
   * i64 becomes a float.
   */
  static from<T>(value: T): Json {
    if (isBoolean<T>()) {
      return Json.ofBits(Kind.Bool, value ? 1 : 0);
    } else if (isInteger<T>() && !isReference<T>()) {
      if (!isSigned<T>() && <i64>value < 0) return Json.ofBits(Kind.Float, reinterpret<u64>(<f64>value));
      return Json.ofBits(Kind.Integer, <u64>(<i64>value));
    } else if (isFloat<T>()) {
      return Json.ofBits(Kind.Float, reinterpret<u64>(<f64>value));
    } else if (isNullable<T>() && changetype<usize>(value) == 0) {
      return Json.NULL;
    } else if (isString<T>()) {
      const json = new Json(Kind.Text);
      json.content = changetype<string>(value);
      return json;
    } else if (isArray<T>()) {
      const json = Json.list();
      for (let i = 0; i < value.length; i++) json.push(value[i]);
      return json;
    } else if (value instanceof Json) {
      return changetype<Json>(value);
    } else {
      ERROR("JSON can be made of bool, integers, floats, string, Json and arrays of these");
    }
  }

  private static ofBits(kind: Kind, number: u64): Json {
    const json = new Json(kind);
    json.number = number;
    return json;
  }

  /** Sets the entry of an object; of one that is there already the place stays. */
  set<T>(name: string, value: T): this {
    const entries = this.entries;
    if (!entries) throw new Error("Json.set() is for objects");
    entries.set(name, Json.from(value));
    return this;
  }

  /** Adds an item to a list. */
  push<T>(value: T): this {
    const list = this.list;
    if (!list) throw new Error("Json.push() is for lists");
    list.push(Json.from(value));
    return this;
  }

  get isNull(): bool {
    return this.kind == Kind.Null;
  }

  /** The text; null if it is none. */
  get text(): string | null {
    return this.content;
  }

  /** The items of a list. */
  get items(): Json[] {
    return this.list || [];
  }

  /** The names in an object, in the order in which they came. */
  get names(): string[] {
    const entries = this.entries;
    return entries ? entries.keys() : [];
  }

  /** The entry of an object. */
  get(name: string): Json {
    const entries = this.entries;
    return entries && entries.has(name) ? entries.get(name) : Json.NULL;
  }

  /** Whether an object has an entry of this name, be it null. */
  has(name: string): bool {
    const entries = this.entries;
    return entries ? entries.has(name) : false;
  }

  textOr(otherwise: string): string {
    const content = this.content;
    return content !== null ? content : otherwise;
  }

  boolOr(otherwise: bool): bool {
    return this.kind == Kind.Bool ? this.number != 0 : otherwise;
  }

  integerOr(otherwise: i64): i64 {
    return this.kind == Kind.Integer ? <i64>this.number : otherwise;
  }

  /** The number, which may be an integer. */
  floatOr(otherwise: f64): f64 {
    if (this.kind == Kind.Integer) return <f64>(<i64>this.number);
    return this.kind == Kind.Float ? reinterpret<f64>(this.number) : otherwise;
  }

  /** What it is, for a sentence: "text", "a list". */
  get description(): string {
    switch (this.kind) {
      case Kind.Null: return "null";
      case Kind.Bool: return this.number ? "true" : "false";
      case Kind.Integer: return "an integer";
      case Kind.Float: return "a float, or an integer beyond 64 bits";
      case Kind.Text: return "text";
      case Kind.List: return "a list";
      default: return "an object";
    }
  }
}

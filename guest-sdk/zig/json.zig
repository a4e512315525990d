//! JSON as endpoints need it: exact integers, strict types, bounded depth, and a reason for whatever is wrong.
//! Parsing and escaping are `std.json`'s; what is stricter here than there is said where it is.

const std = @import("std");

const Allocator = std.mem.Allocator;
const Stringify = std.json.Stringify;
const Value = std.json.Value;

/// A document that is nested deeper is neither read nor written, which both happens by recursion. `std.json` writes no
/// deeper ones.
pub const max_depth = 256;

const too_deep = std.fmt.comptimePrint("it is nested deeper than {d}", .{max_depth});

pub const ParseError = error{ OutOfMemory, NotJson };
pub const ReadError = error{ OutOfMemory, WrongType };
pub const ParseAsError = ParseError || ReadError;
pub const WriteError = error{ OutOfMemory, NotJson };

/// A document as a `T`: `parse`, then `read`.
pub fn parseAs(comptime T: type, arena: Allocator, text: []const u8, reason: *[]const u8) ParseAsError!T {
    return read(T, arena, try parse(arena, text, reason), reason);
}

/// Parses a document into `arena`. Of equal keys the last counts, and a lone surrogate becomes U+FFFD.
/// Integers within i64 are exact; others stay text, as `number_string`. `error.NotJson` leaves its reason in `reason`.
pub fn parse(arena: Allocator, text: []const u8, reason: *[]const u8) ParseError!Value {
    const prepared = try prepare(arena, text, reason);
    var scanner: std.json.Scanner = .initCompleteInput(arena, prepared);
    var place: std.json.Scanner.Diagnostics = .{};
    scanner.enableDiagnostics(&place);
    const options: std.json.ParseOptions = .{ .duplicate_field_behavior = .use_last };
    return std.json.parseFromTokenSourceLeaky(Value, arena, &scanner, options) catch |err| switch (err) {
        error.OutOfMemory => |oom| oom,
        else => {
            reason.* = try std.fmt.allocPrint(arena, "it is no JSON at byte {d}", .{place.getByteOffset()});
            return error.NotJson;
        },
    };
}

/// Bounds the depth, and replaces lone surrogates, which `std.json` refuses but Python writes.
fn prepare(arena: Allocator, text: []const u8, reason: *[]const u8) ParseError![]const u8 {
    var prepared: ?[]u8 = null;
    var depth: usize = 0;
    var in_string = false;
    var i: usize = 0;
    while (i < text.len) : (i += 1) switch (text[i]) {
        '"' => in_string = !in_string,
        '\\' => {
            const unit = surrogate(text[i..]) orelse {
                i += 1;
                continue;
            };
            const next = surrogate(text[@min(i + 6, text.len)..]) orelse 0;
            if (unit < 0xdc00 and next >= 0xdc00) {
                i += 11;
                continue;
            }
            if (prepared == null) prepared = try arena.dupe(u8, text);
            @memcpy(prepared.?[i + 2 ..][0..4], "fffd");
            i += 5;
        },
        '[', '{' => if (!in_string) {
            depth += 1;
            if (depth > max_depth) {
                reason.* = too_deep;
                return error.NotJson;
            }
        },
        ']', '}' => if (!in_string) {
            depth -|= 1;
        },
        else => {},
    };
    return prepared orelse text;
}

/// The surrogate that `text` begins with as an escape.
fn surrogate(text: []const u8) ?u16 {
    if (text.len < 6 or text[0] != '\\' or text[1] != 'u') return null;
    const unit = std.fmt.parseInt(u16, text[2..6], 16) catch return null;
    return if (unit >= 0xd800 and unit < 0xe000) unit else null;
}

/// Reads a parsed value as a `T`: bool, integers, floats, `[]const u8`, enums by name, optionals, slices, arrays,
/// structs by field, `std.json.Value`, `std.json.ObjectMap`, and what has a `jsonParseFromValue`. Nothing is
/// converted: text is no number, and 3.0 no integer. Keys that a struct has no field for are left out.
/// `error.WrongType` leaves its reason in `reason`.
pub fn read(comptime T: type, arena: Allocator, value: Value, reason: *[]const u8) ReadError!T {
    if (T == Value) return value;
    if (T == std.json.ObjectMap) return switch (value) {
        .object => |object| object,
        else => wrong(arena, "an object", value, reason),
    };
    switch (@typeInfo(T)) {
        .bool => return switch (value) {
            .bool => |flag| flag,
            else => wrong(arena, "true or false", value, reason),
        },
        .int => {
            const limits = .{ std.math.minInt(T), std.math.maxInt(T) };
            const needed = std.fmt.comptimePrint("an integer from {d} to {d}", limits);
            return switch (value) {
                .integer => |number| std.math.cast(T, number) orelse wrong(arena, needed, value, reason),
                .number_string => |digits| std.fmt.parseInt(T, digits, 10) catch wrong(arena, needed, value, reason),
                else => wrong(arena, "an integer", value, reason),
            };
        },
        .float => return switch (value) {
            .integer => |number| @floatFromInt(number),
            .float => |number| @floatCast(number),
            .number_string => |digits| {
                const number = std.fmt.parseFloat(T, digits) catch std.math.inf(T);
                return if (std.math.isFinite(number)) number else wrong(arena, "a number", value, reason);
            },
            else => wrong(arena, "a number", value, reason),
        },
        .optional => |optional| return switch (value) {
            .null => null,
            else => try read(optional.child, arena, value, reason),
        },
        .@"enum" => {
            const names = comptime std.meta.fieldNames(T);
            const needed = "one of " ++ comptime joined(names);
            return switch (value) {
                .string => |name| std.meta.stringToEnum(T, name) orelse wrong(arena, needed, value, reason),
                else => wrong(arena, needed, value, reason),
            };
        },
        .pointer => |pointer| {
            if (pointer.size != .slice or pointer.sentinel_ptr != null) unreadable(T);
            if (pointer.child == u8) return switch (value) {
                .string => |text| if (pointer.attrs.@"const") text else try arena.dupe(u8, text),
                else => wrong(arena, "text", value, reason),
            };
            const items = switch (value) {
                .array => |array| array.items,
                else => return wrong(arena, "an array", value, reason),
            };
            const slice = try arena.alloc(pointer.child, items.len);
            for (items, slice, 0..) |item, *place, i| {
                place.* = read(pointer.child, arena, item, reason) catch |err| return within(arena, i, err, reason);
            }
            return slice;
        },
        .array => |array| {
            const items = switch (value) {
                .array => |items| items.items,
                else => return wrong(arena, "an array", value, reason),
            };
            const needed = std.fmt.comptimePrint("an array of {d}", .{array.len});
            if (items.len != array.len) return wrong(arena, needed, value, reason);
            var result: T = undefined;
            for (items, &result, 0..) |item, *place, i| {
                place.* = read(array.child, arena, item, reason) catch |err| return within(arena, i, err, reason);
            }
            return result;
        },
        .@"struct" => |info| {
            if (comptime std.meta.hasFn(T, "jsonParseFromValue")) return readItself(T, arena, value, reason);
            const object = switch (value) {
                .object => |object| object,
                else => return wrong(arena, "an object", value, reason),
            };
            var result: T = undefined;
            inline for (info.field_names, info.field_types, info.field_attrs) |name, Field, attrs| {
                @field(result, name) = if (object.get(name)) |field|
                    read(Field, arena, field, reason) catch |err| return within(arena, name, err, reason)
                else if (comptime attrs.defaultValue(Field)) |default|
                    default
                else {
                    reason.* = "it has no '" ++ name ++ "'";
                    return error.WrongType;
                };
            }
            return result;
        },
        .@"union" => {
            if (!std.meta.hasFn(T, "jsonParseFromValue")) unreadable(T);
            return readItself(T, arena, value, reason);
        },
        else => unreadable(T),
    }
}

fn readItself(comptime T: type, arena: Allocator, value: Value, reason: *[]const u8) ReadError!T {
    return T.jsonParseFromValue(arena, value, .{}) catch |err| switch (err) {
        error.OutOfMemory => |oom| oom,
        else => {
            reason.* = @errorName(err);
            return error.WrongType;
        },
    };
}

fn unreadable(comptime T: type) noreturn {
    const instead = "give it a `jsonParseFromValue`, or take a `std.json.Value`";
    @compileError(@typeName(T) ++ " cannot be read from JSON: " ++ instead);
}

fn joined(comptime names: []const []const u8) []const u8 {
    var all: []const u8 = "";
    for (names, 0..) |name, i| all = all ++ (if (i == 0) "" else ", ") ++ name;
    return all;
}

fn wrong(arena: Allocator, needed: []const u8, value: Value, reason: *[]const u8) ReadError {
    reason.* = try std.fmt.allocPrint(arena, "{s} is needed, not {s}", .{ needed, switch (value) {
        .null => "null",
        .bool => "true or false",
        .integer => |number| try std.fmt.allocPrint(arena, "{d}", .{number}),
        .number_string => "so large a number",
        .float => "a number with a fraction or an exponent",
        .string => "that text",
        .array => "an array",
        .object => "an object",
    } });
    return error.WrongType;
}

/// Puts where it is before what is wrong there.
fn within(arena: Allocator, place: anytype, err: ReadError, reason: *[]const u8) ReadError {
    const format = if (@typeInfo(@TypeOf(place)) == .int) "[{d}]: {s}" else "'{s}': {s}";
    if (err == error.WrongType) reason.* = try std.fmt.allocPrint(arena, format, .{ place, reason.* });
    return err;
}

/// Writes a value as a document in `arena`: what `std.json.Stringify` writes, `void` as null, and `.{}` as an object.
/// Text that is not UTF-8 and numbers that are not finite, of which that makes something else, are `error.NotJson` with
/// its reason in `reason`.
pub fn write(arena: Allocator, value: anytype, reason: *[]const u8) WriteError![]const u8 {
    var text: std.Io.Writer.Allocating = .init(arena);
    var stream: Stringify = .{ .writer = &text.writer };
    put(&stream, value, reason) catch |err| return switch (err) {
        error.WriteFailed => error.OutOfMemory,
        error.NotJson => error.NotJson,
    };
    return text.written();
}

const PutError = Stringify.Error || error{NotJson};

fn put(stream: *Stringify, value: anytype, reason: *[]const u8) PutError!void {
    const T = @TypeOf(value);
    if (T == Value) return switch (value) {
        .array => |array| put(stream, array.items, reason),
        .number_string => |digits| stream.print("{s}", .{digits}),
        inline else => |inner| put(stream, inner, reason),
    };
    if (T == std.json.ObjectMap) {
        try checkDepth(stream, reason);
        try stream.beginObject();
        for (value.keys(), value.values()) |key, inner| try putField(stream, key, inner, reason);
        return stream.endObject();
    }
    switch (@typeInfo(T)) {
        .void => try stream.write(null),
        .float, .comptime_float => try putFloat(stream, value, reason),
        .optional => if (value) |inner| try put(stream, inner, reason) else try stream.write(null),
        .array => try put(stream, @as([]const std.meta.Elem(T), &value), reason),
        .pointer => |pointer| {
            if (pointer.size == .one) {
                if (@typeInfo(pointer.child) == .array) return put(stream, @as([]const std.meta.Elem(T), value), reason);
                return put(stream, value.*, reason);
            }
            if (pointer.size != .slice) return put(stream, std.mem.span(value), reason);
            if (pointer.child != u8) return putItems(stream, value, reason);
            try checkText(value, reason);
            try stream.write(value);
        },
        .@"struct" => |info| {
            if (comptime std.meta.hasFn(T, "jsonStringify")) return value.jsonStringify(stream);
            try checkDepth(stream, reason);
            if (info.is_tuple and info.field_names.len > 0) {
                try stream.beginArray();
                inline for (value) |item| try put(stream, item, reason);
                return stream.endArray();
            }
            try stream.beginObject();
            inline for (info.field_names) |name| try putField(stream, name, @field(value, name), reason);
            try stream.endObject();
        },
        .@"union" => {
            if (comptime std.meta.hasFn(T, "jsonStringify")) return value.jsonStringify(stream);
            try checkDepth(stream, reason);
            try stream.beginObject();
            switch (value) {
                inline else => |inner, tag| {
                    const payload = if (@TypeOf(inner) == void) .{} else inner;
                    try putField(stream, @tagName(tag), payload, reason);
                },
            }
            try stream.endObject();
        },
        else => try stream.write(value),
    }
}

fn putItems(stream: *Stringify, items: anytype, reason: *[]const u8) PutError!void {
    try checkDepth(stream, reason);
    try stream.beginArray();
    for (items) |item| try put(stream, item, reason);
    try stream.endArray();
}

fn putField(stream: *Stringify, name: []const u8, value: anytype, reason: *[]const u8) PutError!void {
    try checkText(name, reason);
    try stream.objectField(name);
    try put(stream, value, reason);
}

/// Other than `std.json`, so that a float stays one for the reader: 3.0, not 3e0.
fn putFloat(stream: *Stringify, number: f64, reason: *[]const u8) PutError!void {
    if (!std.math.isFinite(number)) {
        reason.* = "it has a number that is not finite";
        return error.NotJson;
    }
    const size = @abs(number);
    if (size != 0 and (size < 1e-5 or size >= 1e16)) return stream.print("{e}", .{number});
    if (@trunc(number) == number) return stream.print("{d}.0", .{number});
    return stream.print("{d}", .{number});
}

fn checkDepth(stream: *const Stringify, reason: *[]const u8) error{NotJson}!void {
    if (stream.indent_level < max_depth) return;
    reason.* = too_deep;
    return error.NotJson;
}

fn checkText(text: []const u8, reason: *[]const u8) error{NotJson}!void {
    if (std.unicode.utf8ValidateSlice(text)) return;
    reason.* = "it has text that is not UTF-8";
    return error.NotJson;
}

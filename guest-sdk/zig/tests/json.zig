const std = @import("std");
const json = @import("endpointd").json;

const expectEqualStrings = std.testing.expectEqualStrings;

/// What comes of a document that is read as a `T` and written again, or why it is not read.
fn through(comptime T: type, text: []const u8, arena: std.mem.Allocator) ![]const u8 {
    var reason: []const u8 = "no reason";
    const value = json.parse(arena, text, &reason) catch |err| return if (err == error.NotJson) reason else err;
    const read = json.read(T, arena, value, &reason) catch |err| return if (err == error.WrongType) reason else err;
    return json.write(arena, read, &reason) catch |err| if (err == error.NotJson) reason else err;
}

fn expectThrough(comptime T: type, expected: []const u8, text: []const u8) !void {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    try expectEqualStrings(expected, try through(T, text, arena.allocator()));
}

fn expectWritten(expected: []const u8, value: anytype) !void {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var reason: []const u8 = "no reason";
    const written = json.write(arena.allocator(), value, &reason) catch |err| if (err == error.NotJson) reason else return err;
    try expectEqualStrings(expected, written);
}

test "integers are exact and nothing else is one" {
    try expectThrough(i64, "9223372036854775807", "9223372036854775807");
    try expectThrough(i64, "-9223372036854775808", " -9223372036854775808 ");
    try expectThrough(u64, "18446744073709551615", "18446744073709551615");
    const beyond = "an integer from -9223372036854775808 to 9223372036854775807 is needed, not so large a number";
    try expectThrough(i64, beyond, "9223372036854775808");
    try expectThrough(u8, "an integer from 0 to 255 is needed, not 256", "256");
    for ([_][]const u8{ "3.0", "1e2", "-0.0", "0.5" }) |text| {
        try expectThrough(i64, "an integer is needed, not a number with a fraction or an exponent", text);
    }
    try expectThrough(i64, "an integer is needed, not true or false", "true");
    try expectThrough(i64, "an integer is needed, not that text", "\"5\"");
    try expectThrough(i64, "an integer is needed, not null", "null");
}

test "floats stay floats" {
    try expectThrough(f64, "3.0", "3");
    try expectThrough(f64, "0.1", "1e-1");
    try expectThrough(f64, "1e300", "1e300");
    try expectThrough(f64, "a number is needed, not so large a number", "1e999");
    try expectWritten("it has a number that is not finite", std.math.nan(f64));
    try expectWritten("[0.0,-2.5,1e16,1e-6]", .{ @as(f32, 0), -2.5, 1e16, 1e-6 });
}

test "text has every escape, and a lone surrogate is replaced" {
    try expectThrough([]const u8, "\"\\\"\\\\/\\b\\f\\n\\r\\té漢😀\"",
        \\"\"\\\/\b\f\n\r\t\u00e9\u6f22\ud83d\ude00"
    );
    try expectThrough([]const u8, "\"\u{fffd}\"", "\"\\ud800\"");
    try expectThrough([]const u8, "\"\u{fffd}\u{fffd}x\"", "\"\\udc00\\ud800x\"");
    try expectThrough([]const u8, "\"\u{fffd}😀\"", "\"\\ud83d\\ud83d\\ude00\"");
    try expectThrough([]const u8, "\"\\\\ud800\"", "\"\\\\ud800\"");
    try expectThrough([]const u8, "it is no JSON at byte 6", "\"\\ud80g\"");
    try expectThrough([]const u8, "it is no JSON at byte 1", "\"\xff\"");
    try expectWritten("it has text that is not UTF-8", "a\xff");
    try expectWritten("\"a\\u0001\"", "a\x01");
}

test "what is no document is refused" {
    for ([_][]const u8{ "", " ", "{", "[1,]", "{\"a\":}", "nul", "01", "+1", "1.", "1 2", "'a'", "\"\n\"", "{1:2}", "[}", "\\", "\"\\", "\"\\u12" }) |text| {
        var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
        defer arena.deinit();
        const reason = try through(std.json.Value, text, arena.allocator());
        try std.testing.expect(std.mem.startsWith(u8, reason, "it is no JSON at byte "));
    }
}

test "depth is bounded" {
    const depth = json.max_depth;
    const deepest = @as([depth]u8, @splat('[')) ++ @as([depth]u8, @splat(']'));
    try expectThrough(std.json.Value, &deepest, &deepest);
    try expectThrough(std.json.Value, "it is nested deeper than 256", "[" ++ deepest ++ "]");
    var objects: [100_000][5]u8 = @splat("{\"a\":".*);
    try expectThrough(std.json.Value, "it is nested deeper than 256", @ptrCast(&objects));
    try expectThrough(std.json.Value, "it is nested deeper than 256", "{\"a\":" ++ deepest ++ "}");
    const text = "\"" ++ @as([1000]u8, @splat('[')) ++ "\\\"[\"";
    try expectThrough(std.json.Value, text, text);
}

test "the last of equal keys counts" {
    try expectThrough(std.json.Value, "{\"a\":2,\"b\":3}", "{\"a\":1,\"b\":3,\"a\":2}");
}

test "types are read by shape" {
    const Shape = struct {
        flag: bool = true,
        colour: enum { red, green } = .red,
        list: []const []const u8 = &.{},
        pair: [2]i8 = .{ 1, 2 },
        inner: ?struct { a: i64, b: ?[]const u8 = null } = null,
    };
    try expectThrough(Shape, "{\"flag\":true,\"colour\":\"red\",\"list\":[],\"pair\":[1,2],\"inner\":null}", "{\"unknown\":1}");
    try expectThrough(Shape, "{\"flag\":false,\"colour\":\"green\",\"list\":[\"x\"],\"pair\":[3,4],\"inner\":{\"a\":5,\"b\":null}}",
        \\{"flag": false, "colour": "green", "list": ["x"], "pair": [3, 4], "inner": {"a": 5}}
    );
    try expectThrough(Shape, "'flag': true or false is needed, not 1", "{\"flag\":1}");
    try expectThrough(Shape, "'colour': one of red, green is needed, not that text", "{\"colour\":\"blue\"}");
    try expectThrough(Shape, "'list': [1]: text is needed, not null", "{\"list\":[\"a\",null]}");
    try expectThrough(Shape, "'pair': an array of 2 is needed, not an array", "{\"pair\":[1]}");
    try expectThrough(Shape, "'inner': it has no 'a'", "{\"inner\":{}}");
    try expectThrough(Shape, "an object is needed, not an array", "[]");
}

test "values are written by shape" {
    try expectWritten("{}", .{});
    try expectWritten("null", {});
    try expectWritten("[1,\"two\",null,[true]]", .{ 1, "two", null, .{true} });
    const Either = union(enum) { one: []const u8, none };
    try expectWritten("[{\"one\":\"x\"},{\"none\":{}}]", [_]Either{ .{ .one = "x" }, .none });
    try expectWritten("it has text that is not UTF-8", Either{ .one = "\xff" });
    try expectWritten("{\"a\":1,\"b\":\"x\"}", .{ .a = @as(u128, 1), .b = @as([]const u8, "x") });
}

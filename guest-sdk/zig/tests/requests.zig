const std = @import("std");
const endpointd = @import("endpointd");

const Call = endpointd.Call;
const expectEqualStrings = std.testing.expectEqualStrings;

const Items = struct {
    pub const version = "1.4";

    pub fn put(call: *Call, args: struct { name: []const u8, quantity: i64, note: ?[]const u8 = null }) ![]const u8 {
        if (args.quantity == 0) return error.NothingToPut;
        if (args.quantity < 0) return call.fail(.{
            .class = "InvalidQuantity",
            .module = "items.exceptions",
            .message = try call.print("{d} is too few", .{args.quantity}),
            .kwargs = try call.toJson(.{ .name = args.name }),
            .expected = true,
        });
        return call.print("{s} {d} {s}", .{ args.name, args.quantity, args.note orelse "-" });
    }

    pub fn none(_: *Call) void {}

    pub fn who(call: *Call) !struct { ?[]const u8, bool } {
        return .{ call.context.text("user"), call.context.isAdmin() };
    }

    pub fn all(_: *Call, args: std.json.ObjectMap) usize {
        return args.count();
    }

    pub fn bytes(_: *Call) []const u8 {
        return "\xff";
    }

    /// What an error that was handled stood for is not what another one does.
    pub fn handled(call: *Call) !void {
        _ = call.fail(.{ .class = "Handled" }) catch {};
        return error.Other;
    }

    pub fn no_method() void {}
};

const Newer = struct {
    pub const version = "1.10";

    pub fn none(_: *Call) []const u8 {
        return "newer";
    }
};

const Named = struct {
    pub const namespace = "named";
    pub const version = "2.0";

    pub fn none(_: *Call) []const u8 {
        return "named";
    }
};

comptime {
    endpointd.serve(.{ Items, Newer, Named });
}

fn expectReply(expected: []const u8, request: endpointd.Request) !void {
    var host: endpointd.testing.Host = .init(std.testing.allocator);
    defer host.deinit();
    switch (host.request(.{ Items, Newer, Named }, request)) {
        .result => |result| try expectEqualStrings(expected, result),
        .failure => |failure| {
            var call = try host.call("{}");
            try expectEqualStrings(expected, try call.print("{s}.{s}: {s}", .{ failure.module, failure.class, failure.message }));
        },
    }
}

test "arguments are matched by name" {
    try expectReply("\"nut 3 -\"", .{ .method = "put", .args = "{\"quantity\":3,\"name\":\"nut\"}" });
    try expectReply("\"nut 3 x\"", .{ .method = "put", .args = "{\"quantity\":3,\"name\":\"nut\",\"note\":\"y\",\"note\":\"x\"}" });
    try expectReply("builtins.TypeError: put() missing a required argument: 'name'", .{ .method = "put" });
    try expectReply("builtins.TypeError: put() got an unexpected keyword argument 'size'", .{ .method = "put", .args = "{\"quantity\":3,\"name\":\"nut\",\"size\":1}" });
    try expectReply("builtins.TypeError: put() argument 'name': text is needed, not 3", .{ .method = "put", .args = "{\"quantity\":3,\"name\":3}" });
    try expectReply("builtins.TypeError: put() arguments: it is no JSON at byte 1", .{ .method = "put", .args = "{" });
    try expectReply("builtins.TypeError: put() arguments: an object is needed, not an array", .{ .method = "put", .args = "[]" });
    try expectReply("builtins.TypeError: who() got an unexpected keyword argument 'x'", .{ .method = "who", .args = "{\"x\":1}" });
    try expectReply("2", .{ .method = "all", .args = "{\"x\":1,\"y\":{}}" });
}

test "errors are exceptions" {
    try expectReply("items.exceptions.InvalidQuantity: -1 is too few", .{ .method = "put", .args = "{\"quantity\":-1,\"name\":\"nut\"}" });
    try expectReply("zig.NothingToPut: NothingToPut", .{ .method = "put", .args = "{\"quantity\":0,\"name\":\"nut\"}" });
    try expectReply("zig.Other: Other", .{ .method = "handled" });
    try expectReply("builtins.ValueError: the result is no JSON: it has text that is not UTF-8", .{ .method = "bytes" });
}

test "keyword arguments of an exception are JSON" {
    var host: endpointd.testing.Host = .init(std.testing.allocator);
    defer host.deinit();
    const reply = host.request(.{Items}, .{ .method = "put", .args = "{\"quantity\":-1,\"name\":\"n\\\"\"}" });
    try expectEqualStrings("{\"name\":\"n\\\"\"}", reply.failure.kwargs.?);
    try std.testing.expect(reply.failure.expected);
}

test "the highest version that fits and has the method answers" {
    try expectReply("\"newer\"", .{ .method = "none", .version = "1.2" });
    try expectReply("\"newer\"", .{ .method = "none", .version = "1.10" });
    try expectReply("[null,false]", .{ .method = "who", .version = "1.4" });
    const missing = "oslo_messaging.rpc.dispatcher.NoSuchMethod: Endpoint does not support RPC method ";
    try expectReply(missing ++ "who", .{ .method = "who", .version = "1.5" });
    try expectReply(missing ++ "none", .{ .method = "none", .version = "2.0" });
    try expectReply(missing ++ "none", .{ .method = "none", .version = "2.0", .namespace = "" });
    try expectReply("\"named\"", .{ .method = "none", .version = "2.0", .namespace = "named" });
    try expectReply(missing ++ "no_method", .{ .method = "no_method", .version = "1.0" });
    try expectReply(missing ++ "version", .{ .method = "version", .version = "1.0" });
}

test "the context says who asks" {
    try expectReply("[\"Ada\",true]", .{ .method = "who", .context = "{\"user\":\"Ada\",\"is_admin\":true}" });
    try expectReply("[null,false]", .{ .method = "who", .context = "{\"user\":5,\"is_admin\":\"yes\"}" });
    try expectReply("[null,false]", .{ .method = "who", .context = &@as([1000]u8, @splat('[')) });
}

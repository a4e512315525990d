//! What the plugin answers. Every public function of an endpoint whose first parameter is a call is a method.

const std = @import("std");
const endpointd = @import("endpointd");

pub const panic = endpointd.panic;

comptime {
    endpointd.serve(.{Greeter});
}

const Greeter = struct {
    pub const version = "1.0";

    /// Callers use `greet(name="Ada")`.
    pub fn greet(call: *endpointd.Call, args: struct { name: []const u8 }) ![]const u8 {
        if (args.name.len == 0) return call.fail(.{ .class = "ValueError", .message = "a name is needed" });
        call.log(.info, "greeting {s}", .{args.name});
        return call.print("{s}, {s}", .{ call.setting("greeting") orelse "Hello", args.name });
    }
};

test "whoever has a name is greeted" {
    var host: endpointd.testing.Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    try std.testing.expectEqualStrings("Hello, Ada", try Greeter.greet(&call, .{ .name = "Ada" }));
    try std.testing.expectError(error.Failure, Greeter.greet(&call, .{ .name = "" }));
    try std.testing.expectEqualStrings("a name is needed", call.failure.message);
}

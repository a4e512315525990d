//! RPC to others, as the operator granted it: `client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"]` under `[grants]` in
//! plugin.toml, with `*` for every topic. `Call.client` makes it.
//!
//! The request context of the call being answered goes with each message, and what is left of its time bounds how long a
//! call waits.

const std = @import("std");
const endpointd = @import("endpointd.zig");

const Client = @This();

call_answered: *endpointd.Call,
to: Destination,

/// Whom to send to. What is not said takes the host's defaults.
pub const Destination = struct {
    topic: []const u8,
    /// Only the host's own is allowed, which is also the default.
    exchange: ?[]const u8 = null,
    /// One server of the topic; null is any.
    server: ?[]const u8 = null,
    namespace: ?[]const u8 = null,
    /// The version that the method needs; null is 1.0.
    version: ?[]const u8 = null,
    /// The longest that it may take; never longer than what is left of the call being answered.
    timeout: ?std.Io.Duration = null,
    /// Another request context, a JSON object, than that of the call being answered.
    context: ?[]const u8 = null,
};

/// Why a message was not sent, or a call has no result; `Call.failure` says more. Where it is passed on, the caller gets
/// what Python would raise: the other side's own exception, or one of `oslo_messaging.exceptions`.
pub const Error = error{
    /// The operator did not grant it. Also where too many plugins have called one another.
    NotGranted,
    /// The arguments or the destination are not well formed.
    Invalid,
    /// There was no result in time; the other side may still have done it.
    Timeout,
    /// No server listens there.
    Unroutable,
    /// It could not be sent now: the broker cannot be reached or took nothing in time, the host is stopping, or too many
    /// calls wait.
    Unavailable,
    /// The other side answered with an exception.
    Remote,
    /// The result is not of the type that was asked for.
    UnexpectedResult,
    OutOfMemory,
};

/// How a message is sent.
pub const Kind = enum { call, cast, fanout };

/// Of this library: what the host says is wrong.
pub const Problem = union(enum) {
    not_granted: []const u8,
    invalid: []const u8,
    timeout,
    unroutable,
    unavailable: []const u8,
    remote: endpointd.Failure,
};

/// Has one server run a method and gives its result as a `T`:
/// `try suppliers.call([]const u8, "order", .{ .name = name })`.
pub fn call(client: Client, comptime T: type, method: []const u8, args: anytype) Error!T {
    const text = try client.send(.call, method, args);
    var reason: []const u8 = undefined;
    return endpointd.json.parseAs(T, client.call_answered.arena, text, &reason) catch |err| switch (err) {
        error.OutOfMemory => |oom| oom,
        else => {
            const format = "the result is not what was expected: {s}";
            return client.failed(error.UnexpectedResult, "ClientError", format, .{reason});
        },
    };
}

/// Has one server run a method, without waiting for it.
pub fn cast(client: Client, method: []const u8, args: anytype) Error!void {
    _ = try client.send(.cast, method, args);
}

/// Has every server of the topic run a method, without waiting for them.
pub fn fanout(client: Client, method: []const u8, args: anytype) Error!void {
    _ = try client.send(.fanout, method, args);
}

fn send(client: Client, kind: Kind, method: []const u8, args: anytype) Error![]const u8 {
    var reason: []const u8 = undefined;
    const text = endpointd.json.write(client.call_answered.arena, args, &reason) catch |err| return switch (err) {
        error.OutOfMemory => |oom| oom,
        error.NotJson => client.failed(error.Invalid, "ClientError", "the arguments are no JSON: {s}", .{reason}),
    };
    var problem: Problem = undefined;
    return client.call_answered.host.send(kind, client.to, method, text, &problem) catch switch (problem) {
        .not_granted => |line| client.failed(error.NotGranted, "ClientError", "not granted: {s}", .{line}),
        .invalid => |what| client.failed(error.Invalid, "ClientError", "{s}", .{what}),
        .timeout => client.failed(error.Timeout, "MessagingTimeout", "there was no reply in time", .{}),
        .unroutable => client.failed(error.Unroutable, "MessageUndeliverable", "no server listens there", .{}),
        .unavailable => |why| client.failed(error.Unavailable, "MessageDeliveryFailure", "{s}", .{why}),
        .remote => |failure| client.call_answered.raise(error.Remote, failure),
    };
}

fn failed(client: Client, err: Error, comptime class: []const u8, comptime format: []const u8, args: anytype) Error {
    return client.call_answered.raise(err, .{
        .class = class,
        .module = if (comptime std.mem.eql(u8, class, "ClientError")) "endpointd" else "oslo_messaging.exceptions",
        .message = try client.call_answered.print(format, args),
    });
}

//! The host of a unit test: no settings, empty buckets, an empty log and nobody to call, until the test says otherwise.
//!
//! ```
//! test "whoever has a name is greeted" {
//!     var host: endpointd.testing.Host = .init(std.testing.allocator);
//!     defer host.deinit();
//!     var call = try host.call("{}");
//!     try std.testing.expectEqualStrings("Hello, Ada", try Greeter.greet(&call, .{ .name = "Ada" }));
//!     try std.testing.expectError(error.Failure, Greeter.greet(&call, .{ .name = "" }));
//!     try std.testing.expectEqualStrings("a name is needed", call.failure.message);
//! }
//! ```

const std = @import("std");
const endpointd = @import("endpointd.zig");
const requests = @import("requests.zig");
const Bucket = @import("Bucket.zig");
const Client = @import("Client.zig");

/// A line of the log.
pub const Line = struct { level: endpointd.Level, message: []const u8 };

/// A message to somebody else; `args` is a JSON object.
pub const Sent = struct { kind: Client.Kind, to: Client.Destination, method: []const u8, args: []const u8 };

/// What a call to somebody else comes to: JSON, or why it has none.
pub const Answer = union(enum) { result: []const u8, problem: Client.Problem };

/// What a request comes to: JSON, or the exception.
pub const Reply = union(enum) { result: []const u8, failure: endpointd.Failure };

pub const Host = struct {
    state: std.heap.ArenaAllocator,
    config: std.array_hash_map.String([]const u8) = .empty,
    buckets: std.array_hash_map.String(Values) = .empty,
    swaps: std.ArrayList(Swap) = .empty,
    /// The lines logged so far.
    lines: std.ArrayList(Line) = .empty,
    /// The messages sent so far.
    sent: std.ArrayList(Sent) = .empty,
    /// Answers calls to others. Without it nobody listens.
    answer: ?*const fn (host: *Host, message: Sent) Answer = null,
    /// Every use of this bucket fails.
    broken_bucket: ?[]const u8 = null,
    /// What of the call and the host is asked for.
    id: []const u8 = "",
    waits: endpointd.Delivery = .call,
    remaining_ms: ?u64 = null,
    started_ms: u64 = 0,
    time: std.Io.Timestamp = .zero,
    randomness: std.Random.DefaultPrng = .init(0),

    const Values = std.array_hash_map.String([]const u8);
    const Swap = struct { bucket: u32, key: []const u8, expected: ?[]const u8 };

    pub fn init(gpa: std.mem.Allocator) Host {
        return .{ .state = .init(gpa) };
    }

    /// Frees everything that its calls have given.
    pub fn deinit(host: *Host) void {
        host.state.deinit();
    }

    /// A call to hand to a method, with this request context, a JSON object.
    pub fn call(host: *Host, context: []const u8) !endpointd.Call {
        var made: endpointd.Call = .{ .arena = host.arena(), .host = host };
        made.context = .{ .json = context, .entries = try made.fromJson(std.json.ObjectMap, context) };
        return made;
    }

    /// Has the endpoints answer a request as a caller sees it, with arguments and result as JSON.
    pub fn request(host: *Host, comptime endpoints: anytype, asked: endpointd.Request) Reply {
        var made: endpointd.Call = .{ .arena = host.arena(), .host = host };
        const result = requests.dispatch(endpoints, &made, asked) catch |err| return .{ .failure = made.failureOf(err) };
        return .{ .result = result };
    }

    /// Gives the plugin a setting.
    pub fn configure(host: *Host, name: []const u8, value: []const u8) !void {
        try host.config.put(host.arena(), name, value);
    }

    fn arena(host: *Host) std.mem.Allocator {
        return host.state.allocator();
    }

    fn copy(host: *Host, bytes: []const u8) []const u8 {
        return host.arena().dupe(u8, bytes) catch @panic("out of memory");
    }

    // What `wasm.Host` has as well follows.

    pub fn log(host: *Host, level: endpointd.Level, message: []const u8) void {
        host.lines.append(host.arena(), .{ .level = level, .message = host.copy(message) }) catch @panic("out of memory");
    }

    pub fn callId(host: *Host) []const u8 {
        return host.id;
    }

    pub fn delivery(host: *Host) endpointd.Delivery {
        return host.waits;
    }

    pub fn remainingMs(host: *Host) ?u64 {
        return host.remaining_ms;
    }

    pub fn startedMs(host: *Host) u64 {
        return host.started_ms;
    }

    pub fn setting(host: *Host, name: []const u8) ?[]const u8 {
        return host.config.get(name);
    }

    pub fn settings(host: *Host) []const endpointd.Setting {
        const all = host.arena().alloc(endpointd.Setting, host.config.count()) catch @panic("out of memory");
        for (host.config.keys(), host.config.values(), all) |name, value, *one| one.* = .{ .name = name, .value = value };
        return all;
    }

    pub fn send(
        host: *Host,
        kind: Client.Kind,
        to: Client.Destination,
        method: []const u8,
        args: []const u8,
        problem: *Client.Problem,
    ) error{Refused}![]const u8 {
        const message: Sent = .{ .kind = kind, .to = to, .method = method, .args = args };
        host.sent.append(host.arena(), message) catch @panic("out of memory");
        if (kind != .call) return "";
        const answered: Answer = if (host.answer) |answer| answer(host, message) else .{ .problem = .unroutable };
        switch (answered) {
            .result => |result| return result,
            .problem => |what| problem.* = what,
        }
        return error.Refused;
    }

    pub fn openBucket(host: *Host, name: []const u8, _: *Bucket.Problem) error{Refused}!u32 {
        const entry = host.buckets.getOrPut(host.arena(), name) catch @panic("out of memory");
        if (!entry.found_existing) entry.value_ptr.* = .empty;
        return @intCast(entry.index);
    }

    pub fn closeBucket(_: *Host, _: u32) void {}

    fn values(host: *Host, bucket: u32, problem: *Bucket.Problem) error{Refused}!*Values {
        if (host.broken_bucket) |broken| if (std.mem.eql(u8, broken, host.buckets.keys()[bucket])) {
            problem.* = .{ .other = "broken by the test" };
            return error.Refused;
        };
        return &host.buckets.values()[bucket];
    }

    pub fn get(host: *Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!?[]const u8 {
        return (try host.values(bucket, problem)).get(key);
    }

    pub fn set(host: *Host, bucket: u32, key: []const u8, value: []const u8, problem: *Bucket.Problem) error{Refused}!void {
        const all = try host.values(bucket, problem);
        all.put(host.arena(), host.copy(key), host.copy(value)) catch @panic("out of memory");
    }

    pub fn delete(host: *Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!void {
        _ = (try host.values(bucket, problem)).orderedRemove(key);
    }

    pub fn exists(host: *Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!bool {
        return (try host.values(bucket, problem)).contains(key);
    }

    pub fn keys(host: *Host, bucket: u32, problem: *Bucket.Problem) error{Refused}![]const []const u8 {
        const all = host.arena().dupe([]const u8, (try host.values(bucket, problem)).keys()) catch @panic("out of memory");
        std.mem.sort([]const u8, all, {}, struct {
            fn before(_: void, one: []const u8, other: []const u8) bool {
                return std.mem.lessThan(u8, one, other);
            }
        }.before);
        return all;
    }

    pub fn increment(host: *Host, bucket: u32, key: []const u8, delta: i64, problem: *Bucket.Problem) error{Refused}!i64 {
        const text = try host.get(bucket, key, problem) orelse "0";
        problem.* = .{ .other = "not a decimal number" };
        const number = std.fmt.parseInt(i64, text, 10) catch return error.Refused;
        const sum = std.math.add(i64, number, delta) catch return error.Refused;
        var digits: [20]u8 = undefined;
        try host.set(bucket, key, std.fmt.bufPrint(&digits, "{d}", .{sum}) catch unreachable, problem);
        return sum;
    }

    pub fn readToSwap(host: *Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!Bucket.Held {
        const value = try host.get(bucket, key, problem);
        host.swaps.append(host.arena(), .{ .bucket = bucket, .key = key, .expected = value }) catch @panic("out of memory");
        return .{ .handle = @intCast(host.swaps.items.len - 1), .value = value };
    }

    pub fn swap(host: *Host, handle: u32, value: []const u8, problem: *Bucket.Problem) error{Refused}!?Bucket.Held {
        const read = host.swaps.items[handle];
        const current = try host.get(read.bucket, read.key, problem);
        if (!same(current, read.expected)) return try host.readToSwap(read.bucket, read.key, problem);
        try host.set(read.bucket, read.key, value, problem);
        return null;
    }

    fn same(one: ?[]const u8, other: ?[]const u8) bool {
        if (one == null or other == null) return one == null and other == null;
        return std.mem.eql(u8, one.?, other.?);
    }

    pub fn closeSwap(_: *Host, _: u32) void {}

    pub fn now(host: *Host) std.Io.Timestamp {
        return host.time;
    }

    /// The same numbers in every test.
    pub fn random(host: *Host) std.Random {
        return host.randomness.random();
    }
};

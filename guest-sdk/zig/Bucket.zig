//! A bucket: a key-value space that outlives the instance, and that plugins and hosts can share. What is written is safe
//! when the function returns. `Call.bucket` opens it, and it closes with the call.

const std = @import("std");
const endpointd = @import("endpointd.zig");

const Bucket = @This();
const Call = endpointd.Call;

call: *Call,
handle: u32,

/// Why a bucket could not be used. Where it is passed on, the caller gets `endpointd.BucketError`.
pub const Error = error{
    /// The operator did not grant the bucket.
    AccessDenied,
    /// There is no bucket of this name.
    NoSuchBucket,
    /// The bucket's backend failed; `Call.failure` says how.
    BucketFailed,
    /// A value is not JSON, or not that of the type asked for.
    UnexpectedValue,
    OutOfMemory,
};

/// Of this library: what the host says is wrong.
pub const Problem = union(enum) { no_such_bucket, access_denied, other: []const u8 };

/// Of this library: a value as it was read, and the host's handle to replace it with.
pub const Held = struct { handle: u32, value: ?[]const u8 };

/// As `Call.bucket`.
pub fn open(call: *Call, name: []const u8) Error!Bucket {
    var problem: Problem = undefined;
    const handle = call.host.openBucket(name, &problem) catch return switch (problem) {
        .no_such_bucket => failed(call, error.NoSuchBucket, "there is no bucket `{s}`", .{name}),
        .access_denied => failed(call, error.AccessDenied, "the bucket `{s}` is not granted to this plugin", .{name}),
        .other => |reason| failed(call, error.BucketFailed, "the bucket failed: {s}", .{reason}),
    };
    _ = try closeLater(call, handle, struct {
        fn close(of: *Call, opened: u32) void {
            of.host.closeBucket(opened);
        }
    }.close);
    return .{ .call = call, .handle = handle };
}

/// The value of a key.
pub fn get(bucket: Bucket, key: []const u8) Error!?[]const u8 {
    var problem: Problem = undefined;
    return bucket.call.host.get(bucket.handle, key, &problem) catch bucket.broken(problem);
}

/// The value of a key, read as JSON.
pub fn getJson(bucket: Bucket, comptime T: type, key: []const u8) Error!?T {
    return read(T, bucket.call, try bucket.get(key));
}

/// Sets the value of a key.
pub fn set(bucket: Bucket, key: []const u8, value: []const u8) Error!void {
    var problem: Problem = undefined;
    bucket.call.host.set(bucket.handle, key, value, &problem) catch return bucket.broken(problem);
}

/// Sets the value of a key, written as JSON.
pub fn setJson(bucket: Bucket, key: []const u8, value: anytype) Error!void {
    try bucket.set(key, try write(bucket.call, value));
}

/// Removes a key. Removing what is not there succeeds.
pub fn delete(bucket: Bucket, key: []const u8) Error!void {
    var problem: Problem = undefined;
    bucket.call.host.delete(bucket.handle, key, &problem) catch return bucket.broken(problem);
}

/// Whether the key has a value.
pub fn exists(bucket: Bucket, key: []const u8) Error!bool {
    var problem: Problem = undefined;
    return bucket.call.host.exists(bucket.handle, key, &problem) catch bucket.broken(problem);
}

/// Every key, in order.
pub fn keys(bucket: Bucket) Error![]const []const u8 {
    var problem: Problem = undefined;
    return bucket.call.host.keys(bucket.handle, &problem) catch bucket.broken(problem);
}

/// Adds to a decimal number, which starts at 0, and gives the sum. Atomic.
pub fn increment(bucket: Bucket, key: []const u8, delta: i64) Error!i64 {
    var problem: Problem = undefined;
    return bucket.call.host.increment(bucket.handle, key, delta, &problem) catch bucket.broken(problem);
}

/// Reads a JSON value, to replace it only if nobody else wrote meanwhile:
/// ```
/// var swap = try bucket.swap(Item, key);
/// while (!try swap.put(changed(swap.current))) {}
/// ```
pub fn swap(bucket: Bucket, comptime T: type, key: []const u8) Error!Swap(T) {
    var problem: Problem = undefined;
    const held = bucket.call.host.readToSwap(bucket.handle, key, &problem) catch return bucket.broken(problem);
    const opened = try closeLater(bucket.call, held.handle, struct {
        fn close(of: *Call, handle: u32) void {
            of.host.closeSwap(handle);
        }
    }.close);
    return .{ .bucket = bucket, .opened = opened, .current = try read(T, bucket.call, held.value) };
}

/// A value as it was read, to be replaced once.
pub fn Swap(comptime T: type) type {
    return struct {
        bucket: Bucket,
        opened: *Call.Opened,
        /// The value now, and after it was replaced, what was there before.
        current: ?T,

        /// Replaces the value. False if somebody else wrote first: `current` is newer then, and another `put` may follow.
        pub fn put(held: *@This(), value: T) Error!bool {
            const call = held.bucket.call;
            const text = try write(call, value);
            const handle = held.opened.handle orelse
                return held.bucket.broken(.{ .other = "the value has been replaced before" });
            held.opened.handle = null;
            var problem: Problem = undefined;
            const newer = call.host.swap(handle, text, &problem) catch return held.bucket.broken(problem);
            const conflict = newer orelse return true;
            held.opened.handle = conflict.handle;
            held.current = try read(T, call, conflict.value);
            return false;
        }
    };
}

fn closeLater(call: *Call, handle: u32, close: *const fn (*Call, u32) void) Error!*Call.Opened {
    const opened = try call.arena.create(Call.Opened);
    opened.* = .{ .handle = handle, .close = close, .next = call.opened };
    call.opened = opened;
    return opened;
}

/// Once a bucket is open, its name can no longer be what is wrong.
fn broken(bucket: Bucket, problem: Problem) Error {
    return failed(bucket.call, error.BucketFailed, "the bucket failed: {s}", .{switch (problem) {
        .no_such_bucket => "it is gone",
        .access_denied => "it is no longer granted",
        .other => |reason| reason,
    }});
}

fn read(comptime T: type, call: *Call, value: ?[]const u8) Error!?T {
    var reason: []const u8 = undefined;
    return endpointd.json.parseAs(T, call.arena, value orelse return null, &reason) catch |err| switch (err) {
        error.OutOfMemory => |oom| oom,
        else => unexpected(call, reason),
    };
}

fn write(call: *Call, value: anytype) Error![]const u8 {
    var reason: []const u8 = undefined;
    return endpointd.json.write(call.arena, value, &reason) catch |err| switch (err) {
        error.OutOfMemory => |oom| oom,
        error.NotJson => unexpected(call, reason),
    };
}

fn unexpected(call: *Call, reason: []const u8) Error {
    return failed(call, error.UnexpectedValue, "a value of the bucket is not as expected: {s}", .{reason});
}

fn failed(call: *Call, err: Error, comptime format: []const u8, args: anytype) Error {
    return call.raise(err, .{ .class = "BucketError", .module = "endpointd", .message = try call.print(format, args) });
}

//! The host of a plugin, and what it calls. Each import is used in a function of its own, so that a plugin has only those
//! it needs.

const std = @import("std");
const abi = @import("abi.zig");
const endpointd = @import("endpointd.zig");
const requests = @import("requests.zig");
const Bucket = @import("Bucket.zig");
const Client = @import("Client.zig");

/// All of one request: what the host hands over, what the endpoint allocates, and the reply.
var arena_state: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);
pub const arena = arena_state.allocator();

/// What a reused instance keeps between requests, so that usual ones allocate nothing anew.
const kept_bytes = 1 << 20;

fn allocate(comptime T: type, count: usize) []T {
    return arena.alloc(T, count) catch @trap();
}

/// The host ends an instance that hands it anything but UTF-8.
fn readable(text: []const u8) []const u8 {
    if (std.unicode.utf8ValidateSlice(text)) return text;
    return std.fmt.allocPrint(arena, "{f}", .{std.unicode.fmtUtf8(text)}) catch @trap();
}

fn lower(failure: endpointd.Failure) abi.Failure {
    const traceback = allocate(abi.Text, failure.traceback.len);
    for (failure.traceback, traceback) |line, *lowered| lowered.* = .of(readable(line));
    return .{
        .class = .of(readable(failure.class)),
        .module = .of(readable(failure.module)),
        .message = .of(readable(failure.message)),
        .kwargs = .of(failure.kwargs),
        .traceback = .of(traceback),
        .expected = failure.expected,
    };
}

fn lift(failure: abi.Failure) endpointd.Failure {
    const traceback = allocate([]const u8, failure.traceback.length);
    for (failure.traceback.slice(), traceback) |line, *lifted| lifted.* = line.slice();
    return .{
        .class = failure.class.slice(),
        .module = failure.module.slice(),
        .message = failure.message.slice(),
        .kwargs = failure.kwargs.slice(),
        .traceback = traceback,
        .expected = failure.expected,
    };
}

/// What `Call` asks of its host. `testing.Host` has the same functions.
pub const Host = struct {
    pub fn log(_: Host, level: endpointd.Level, message: []const u8) void {
        const text = readable(message);
        abi.logging.log(@backingInt(level), "", 0, abi.start(text), text.len);
    }

    pub fn callId(_: Host) []const u8 {
        var id: abi.Text = undefined;
        abi.call_info.id(&id);
        return id.slice();
    }

    pub fn delivery(_: Host) endpointd.Delivery {
        return if (abi.call_info.delivery() == 0) .call else .cast;
    }

    pub fn remainingMs(_: Host) ?u64 {
        var remaining: abi.OptionalNumber = undefined;
        abi.call_info.@"remaining-ms"(&remaining);
        return if (remaining.is_some) remaining.number else null;
    }

    pub fn startedMs(_: Host) u64 {
        return abi.call_info.@"host-started-ms"();
    }

    pub fn setting(_: Host, name: []const u8) ?[]const u8 {
        var result: abi.Result(abi.OptionalText) = undefined;
        abi.config.get(abi.start(name), name.len, &result);
        return if (result.is_error) null else result.payload.value.slice();
    }

    pub fn settings(_: Host) []const endpointd.Setting {
        var result: abi.Result(abi.List([2]abi.Text)) = undefined;
        abi.config.@"get-all"(&result);
        if (result.is_error) return &.{};
        const list = result.payload.value;
        const all = allocate(endpointd.Setting, list.length);
        for (list.slice(), all) |pair, *one| one.* = .{ .name = pair[0].slice(), .value = pair[1].slice() };
        return all;
    }

    pub fn send(
        _: Host,
        kind: Client.Kind,
        to: Client.Destination,
        method: []const u8,
        args: []const u8,
        problem: *Client.Problem,
    ) error{Refused}![]const u8 {
        const message: abi.rpc.Message = .{
            .exchange = .of(to.exchange),
            .topic = .of(to.topic),
            .server = .of(to.server),
            .namespace = .of(to.namespace),
            .version = .of(to.version),
            .method = .of(method),
            .args = .of(args),
            .has_timeout = to.timeout != null,
            .timeout_ms = if (to.timeout) |timeout| std.math.lossyCast(u32, timeout.toMilliseconds()) else 0,
            .context = .of(to.context),
        };
        var reply: abi.rpc.Answer = undefined;
        switch (kind) {
            .call => abi.rpc.call(&message, &reply),
            .cast => abi.rpc.cast(&message, &reply),
            .fanout => abi.rpc.fanout(&message, &reply),
        }
        if (!reply.is_error) return if (kind == .call) reply.payload.result.slice() else "";
        const payload = reply.payload.problem.payload;
        problem.* = switch (reply.payload.problem.kind) {
            0 => .{ .not_granted = payload.text.slice() },
            1 => .{ .invalid = payload.text.slice() },
            2 => .timeout,
            3 => .unroutable,
            4 => .{ .unavailable = payload.text.slice() },
            else => .{ .remote = lift(payload.failure) },
        };
        return error.Refused;
    }

    pub fn openBucket(_: Host, name: []const u8, problem: *Bucket.Problem) error{Refused}!u32 {
        var result: abi.Result(u32) = undefined;
        abi.keyvalue.open(abi.start(name), name.len, &result);
        return result.get(problem);
    }

    pub fn closeBucket(_: Host, bucket: u32) void {
        abi.keyvalue.@"[resource-drop]bucket"(bucket);
    }

    pub fn get(_: Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!?[]const u8 {
        var result: abi.Result(abi.OptionalText) = undefined;
        abi.keyvalue.@"[method]bucket.get"(bucket, abi.start(key), key.len, &result);
        return (try result.get(problem)).slice();
    }

    pub fn set(_: Host, bucket: u32, key: []const u8, value: []const u8, problem: *Bucket.Problem) error{Refused}!void {
        var result: abi.Result(u8) = undefined;
        abi.keyvalue.@"[method]bucket.set"(bucket, abi.start(key), key.len, abi.start(value), value.len, &result);
        _ = try result.get(problem);
    }

    pub fn delete(_: Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!void {
        var result: abi.Result(u8) = undefined;
        abi.keyvalue.@"[method]bucket.delete"(bucket, abi.start(key), key.len, &result);
        _ = try result.get(problem);
    }

    pub fn exists(_: Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!bool {
        var result: abi.Result(bool) = undefined;
        abi.keyvalue.@"[method]bucket.exists"(bucket, abi.start(key), key.len, &result);
        return result.get(problem);
    }

    pub fn keys(_: Host, bucket: u32, problem: *Bucket.Problem) error{Refused}![]const []const u8 {
        var all: std.ArrayList([]const u8) = .empty;
        var cursor: ?[]const u8 = null;
        while (true) {
            var result: abi.Result(abi.keyvalue.Page) = undefined;
            const from = cursor orelse "";
            abi.keyvalue.@"[method]bucket.list-keys"(bucket, cursor != null, abi.start(from), from.len, &result);
            const page = try result.get(problem);
            for (page.keys.slice()) |key| all.append(arena, key.slice()) catch @trap();
            cursor = page.cursor.slice() orelse return all.items;
        }
    }

    pub fn increment(_: Host, bucket: u32, key: []const u8, delta: i64, problem: *Bucket.Problem) error{Refused}!i64 {
        var result: abi.Result(i64) = undefined;
        abi.keyvalue.increment(bucket, abi.start(key), key.len, delta, &result);
        return result.get(problem);
    }

    pub fn readToSwap(_: Host, bucket: u32, key: []const u8, problem: *Bucket.Problem) error{Refused}!Bucket.Held {
        var result: abi.Result(abi.keyvalue.Read) = undefined;
        abi.keyvalue.@"[static]cas.new-with-read"(bucket, abi.start(key), key.len, &result);
        return (try result.get(problem)).held();
    }

    /// Null if it was swapped; what is held now if somebody else wrote first.
    pub fn swap(_: Host, handle: u32, value: []const u8, problem: *Bucket.Problem) error{Refused}!?Bucket.Held {
        var result: abi.keyvalue.Swapped = undefined;
        abi.keyvalue.swap(handle, abi.start(value), value.len, &result);
        if (!result.is_error) return null;
        const payload = result.problem.payload;
        if (result.problem.kind != 0) return payload.conflict.held();
        problem.* = payload.store.lifted();
        return error.Refused;
    }

    pub fn closeSwap(_: Host, handle: u32) void {
        abi.keyvalue.@"[resource-drop]cas"(handle);
    }

    pub fn now(_: Host) std.Io.Timestamp {
        var time: abi.clock.Time = undefined;
        abi.clock.now(&time);
        return .fromNanoseconds(@as(i96, time.seconds) * std.time.ns_per_s + time.nanoseconds);
    }

    pub fn random(_: Host) std.Random {
        return .{ .ptr = undefined, .fillFn = fillRandom };
    }

    fn fillRandom(_: *anyopaque, buffer: []u8) void {
        var rest = buffer;
        while (rest.len > 0) {
            const bytes: [8]u8 = @bitCast(abi.entropy.@"get-random-u64"());
            const count = @min(rest.len, bytes.len);
            @memcpy(rest[0..count], bytes[0..count]);
            rest = rest[count..];
        }
    }
};

/// Exports what the host calls.
pub fn exportEndpoints(comptime endpoints: anytype) void {
    const exports = struct {
        const all = raw: {
            var raw: [endpoints.len]abi.Target = undefined;
            for (&raw, 0..) |*target, i| {
                const names = requests.methods(endpoints[i]);
                var texts: [names.len]abi.Text = undefined;
                for (names, &texts) |name, *text| text.* = .of(name);
                const constant = texts;
                target.* = .{
                    .namespace = .of(requests.namespaceOf(endpoints[i])),
                    .version = .of(endpoints[i].version),
                    .methods = .of(&constant),
                };
            }
            break :raw raw;
        };
        const list: abi.List(abi.Target) = .of(&all);
        var reply: abi.Reply = undefined;

        fn targets() callconv(.c) *const abi.List(abi.Target) {
            return &list;
        }

        fn dispatch(
            has_namespace: bool,
            namespace: ?[*]const u8,
            namespace_length: usize,
            version: [*]const u8,
            version_length: usize,
            method: [*]const u8,
            method_length: usize,
            args: [*]const u8,
            args_length: usize,
            context: [*]const u8,
            context_length: usize,
        ) callconv(.c) *const abi.Reply {
            var call: endpointd.Call = .{ .arena = arena, .host = .{} };
            const outcome = requests.dispatch(endpoints, &call, .{
                .namespace = if (has_namespace) namespace.?[0..namespace_length] else null,
                .version = version[0..version_length],
                .method = method[0..method_length],
                .args = args[0..args_length],
                .context = context[0..context_length],
            });
            reply = if (outcome) |text|
                .{ .is_failure = false, .payload = .{ .result = .of(text) } }
            else |err| switch (err) {
                // So that the caller is told the limit, and the next one gets an instance that has memory.
                error.OutOfMemory => @trap(),
                else => .{ .is_failure = true, .payload = .{ .failure = lower(call.failureOf(err)) } },
            };
            return &reply;
        }

        fn afterDispatch(_: *const abi.Reply) callconv(.c) void {
            _ = arena_state.reset(.{ .retain_with_limit = kept_bytes });
        }
    };
    @export(&reallocate, .{ .name = "cabi_realloc" });
    @export(&exports.targets, .{ .name = "targets" });
    @export(&exports.dispatch, .{ .name = "dispatch" });
    @export(&exports.afterDispatch, .{ .name = "cabi_post_dispatch" });
}

fn reallocate(old: ?[*]const u8, old_length: usize, alignment: usize, length: usize) callconv(.c) [*]u8 {
    if (length == 0) return @ptrFromInt(alignment);
    const new = arena.rawAlloc(length, .fromByteUnits(alignment), @returnAddress()) orelse @trap();
    if (old) |bytes| @memcpy(new, bytes[0..@min(old_length, length)]);
    return new;
}

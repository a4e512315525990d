//! Write an endpointd plugin in Zig: a struct whose public functions answer RPC calls.
//!
//! ```
//! const endpointd = @import("endpointd");
//!
//! pub const panic = endpointd.panic; // a panic is a line in the host's log before it ends the instance
//!
//! const Greeter = struct {
//!     pub const version = "1.0"; // and `namespace`, where it is not the null one
//!
//!     /// Callers use `greet(name="Ada")`.
//!     pub fn greet(call: *endpointd.Call, args: struct { name: []const u8, loud: bool = false }) ![]const u8 {
//!         if (args.name.len == 0) return call.fail(.{ .class = "ValueError", .message = "a name is needed" });
//!         return call.print("Hello, {s}{s}", .{ args.name, if (args.loud) "!" else "" });
//!     }
//! };
//!
//! comptime {
//!     endpointd.serve(.{Greeter});
//! }
//! ```
//!
//! A method is a public function whose first parameter is a `*Call`. The fields of the second, if there is one, are
//! the keyword arguments, as `json.read` reads them; one with a default may be missing. `std.json.ObjectMap` takes
//! whatever there is. What is returned is written as `json.write` does it. An error is the exception that the caller
//! sees: that of `Call.fail` or of this library, or else `zig.NAME` with the error's name as its text.
//!
//! What a plugin may use is up to its operator: what is called here without a grant in plugin.toml refuses the whole
//! plugin, with the line that would grant it. Settings, the log and what is known of the call are always there.

const std = @import("std");

pub const json = @import("json.zig");
pub const testing = @import("testing.zig");
pub const Bucket = @import("Bucket.zig");
pub const Client = @import("Client.zig");

const requests = @import("requests.zig");
const wasm = @import("wasm.zig");
const is_wasm = @import("builtin").cpu.arch.isWasm();

/// An exception on its way to the caller.
pub const Failure = struct {
    /// The exception's class, such as "AgentNotFound".
    class: []const u8,
    /// The Python module that defines it. A caller knows Python's own, and others as far as it allows.
    module: []const u8 = "builtins",
    /// The text that the caller reads.
    message: []const u8 = "",
    /// The keyword arguments that the caller rebuilds the exception with, a JSON object: `Call.toJson` makes it.
    kwargs: ?[]const u8 = null,
    /// Lines for whoever looks for the cause: what the exception of another service came with.
    traceback: []const []const u8 = &.{},
    /// Part of the interface, and so not worth a line in the host's log.
    expected: bool = false,
};

/// How much a line of the log matters.
pub const Level = enum(u8) { trace, debug, info, warn, err, critical };

/// Whether the caller waits for the result, which is dropped after a cast.
pub const Delivery = enum { call, cast };

/// One of the operator's settings.
pub const Setting = struct { name: []const u8, value: []const u8 };

/// The caller's request context: who asks, and on whose behalf.
pub const Context = struct {
    /// The context as it came, a JSON object.
    json: []const u8 = "{}",
    entries: std.json.ObjectMap = .empty,

    /// The entry of this name, if it is text.
    pub fn text(context: Context, name: []const u8) ?[]const u8 {
        const entry = context.entries.get(name) orelse return null;
        return if (entry == .string) entry.string else null;
    }

    /// Whether the caller is an administrator, as OpenStack's contexts say it.
    pub fn isAdmin(context: Context) bool {
        const entry = context.entries.get("is_admin") orelse return false;
        return entry == .bool and entry.bool;
    }
};

/// A request, as the host hands it over.
pub const Request = struct {
    namespace: ?[]const u8 = null,
    version: []const u8 = "1.0",
    method: []const u8,
    /// A JSON object: the keyword arguments.
    args: []const u8 = "{}",
    /// A JSON object: the request context.
    context: []const u8 = "{}",
};

/// A request being answered, and what it may use. It ends with the reply, and so does what it gave.
pub const Call = struct {
    /// Where results and whatever else is needed for the reply are allocated; nothing is to be freed.
    arena: std.mem.Allocator,
    context: Context = .{},
    /// What the last error of this library or of `fail` stands for: after `error.Remote`, the other side's exception.
    failure: Failure = .{ .class = "" },

    /// Of this library: which error `failure` belongs to, who answers, and what to close at the end.
    failed_with: ?anyerror = null,
    host: if (is_wasm) wasm.Host else *testing.Host,
    opened: ?*Opened = null,

    /// Something of the host's, closed with the call. Only who opens such a thing refers to what closes it, so that
    /// others do not import that.
    pub const Opened = struct {
        handle: ?u32,
        close: *const fn (*Call, u32) void,
        next: ?*Opened,
    };

    /// The exception that the caller is to see: `return call.fail(.{ .class = "ValueError", .message = "..." });`.
    pub fn fail(call: *Call, failure: Failure) error{Failure} {
        return call.raise(error.Failure, failure);
    }

    /// The same under an error of another name, to be told apart by who calls the function.
    pub fn raise(call: *Call, err: anytype, failure: Failure) @TypeOf(err) {
        call.failure = failure;
        call.failed_with = err;
        return err;
    }

    /// The exception that an error stands for: that of `fail`, or else one that has the error's name.
    pub fn failureOf(call: *const Call, err: anyerror) Failure {
        if (call.failed_with) |known| if (known == err) return call.failure;
        return .{ .class = @errorName(err), .module = "zig", .message = @errorName(err) };
    }

    /// Text in `arena`, formatted as by `std.fmt`.
    pub fn print(call: *Call, comptime format: []const u8, args: anytype) error{OutOfMemory}![]const u8 {
        return std.fmt.allocPrint(call.arena, format, args);
    }

    /// A value as JSON, as `json.write` writes it.
    pub fn toJson(call: *Call, value: anytype) json.WriteError![]const u8 {
        var reason: []const u8 = undefined;
        return json.write(call.arena, value, &reason) catch |err| switch (err) {
            error.OutOfMemory => |oom| oom,
            error.NotJson => |not| call.raise(not, .{
                .class = "ValueError",
                .message = try call.print("the value is no JSON: {s}", .{reason}),
            }),
        };
    }

    /// JSON as a type of your own, as `json.read` reads it; `call.context.json`, for one.
    pub fn fromJson(call: *Call, comptime T: type, text: []const u8) json.ParseAsError!T {
        var reason: []const u8 = undefined;
        return json.parseAs(T, call.arena, text, &reason) catch |err| switch (err) {
            error.OutOfMemory => |oom| oom,
            else => |other| call.raise(other, .{
                .class = "ValueError",
                .message = try call.print("the JSON is not as expected: {s}", .{reason}),
            }),
        };
    }

    /// Writes a line to the host's log, which adds the plugin's name and the request's id.
    pub fn log(call: *Call, level: Level, comptime format: []const u8, args: anytype) void {
        call.host.log(level, call.print(format, args) catch format);
    }

    /// The message's unique id, which the logs of both sides share; empty if the caller sent none.
    pub fn id(call: *Call) []const u8 {
        return call.host.callId();
    }

    pub fn delivery(call: *Call) Delivery {
        return call.host.delivery();
    }

    /// What is left of the caller's time in milliseconds, where it is known.
    pub fn remainingMs(call: *Call) ?u64 {
        return call.host.remainingMs();
    }

    /// When the host started, in milliseconds since 1970: what was sent before that has waited while nobody served it.
    pub fn hostStartedMs(call: *Call) u64 {
        return call.host.startedMs();
    }

    /// The setting or the secret of this name. Null also where a secret cannot be read now.
    pub fn setting(call: *Call, name: []const u8) ?[]const u8 {
        return call.host.setting(name);
    }

    /// The setting of this name as an integer, a float or a bool. One that is not is the caller's `ValueError`.
    pub fn settingAs(call: *Call, comptime T: type, name: []const u8) error{ OutOfMemory, WrongSetting }!?T {
        const text = std.mem.trim(u8, call.setting(name) orelse return null, " \t\r\n");
        const value = switch (@typeInfo(T)) {
            .int => std.fmt.parseInt(T, text, 10) catch null,
            .float => std.fmt.parseFloat(T, text) catch null,
            .bool => if (std.mem.eql(u8, text, "true")) true else if (std.mem.eql(u8, text, "false")) false else null,
            else => @compileError("a setting is an integer, a float or a bool, not " ++ @typeName(T)),
        };
        return value orelse call.raise(error.WrongSetting, .{
            .class = "ValueError",
            .message = try call.print("setting `{s}` of the plugin is wrong: it is no {s}", .{ name, @typeName(T) }),
        });
    }

    /// Every setting.
    pub fn settings(call: *Call) []const Setting {
        return call.host.settings();
    }

    /// Opens the bucket that the operator granted under this name. It closes with the call.
    pub fn bucket(call: *Call, name: []const u8) Bucket.Error!Bucket {
        return Bucket.open(call, name);
    }

    /// RPC to others: `call.client(.{ .topic = "suppliers", .version = "1.0" })`.
    pub fn client(call: *Call, to: Client.Destination) Client {
        return .{ .call_answered = call, .to = to };
    }

    /// The time now, by the host's clock, which `clocks = true` grants.
    pub fn now(call: *Call) std.Io.Timestamp {
        return call.host.now();
    }

    /// Random numbers that cannot be predicted, which `random = true` grants.
    pub fn random(call: *Call) std.Random {
        return call.host.random();
    }

    /// Closes what the call opened. The host does it after each request; a test does it by `testing.Host.deinit`.
    pub fn close(call: *Call) void {
        while (call.opened) |opened| : (call.opened = opened.next) {
            if (opened.handle) |handle| opened.close(call, handle);
        }
    }
};

/// Serves these endpoints. Of several that fit a request, the highest version that has the method answers.
pub fn serve(comptime endpoints: anytype) void {
    for (endpoints) |Endpoint| {
        const name = @typeName(Endpoint);
        if (!@hasDecl(Endpoint, "version")) @compileError(name ++ " has no `pub const version = \"1.0\";`");
        if (requests.methods(Endpoint).len == 0) {
            @compileError(name ++ " has no method: a `pub fn` whose first parameter is a `*endpointd.Call`");
        }
    }
    if (is_wasm) wasm.exportEndpoints(endpoints);
}

/// For `pub const panic = endpointd.panic;` beside the endpoints: a panic is a line in the host's log before it ends the
/// instance.
pub const panic = std.debug.FullPanic(if (is_wasm) logPanic else std.debug.defaultPanic);

fn logPanic(message: []const u8, _: ?usize) noreturn {
    var call: Call = .{ .arena = wasm.arena, .host = .{} };
    call.log(.err, "panic: {s}", .{message});
    @trap();
}

/// For `pub const std_options = endpointd.std_options;` beside the endpoints: what `std.log` is given goes to the host's
/// log.
pub const std_options: std.Options = if (is_wasm) .{ .log_level = .debug, .logFn = logStandard } else .{};

fn logStandard(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime format: []const u8,
    args: anytype,
) void {
    const prefix = if (scope == .default) "" else @tagName(scope) ++ ": ";
    var call: Call = .{ .arena = wasm.arena, .host = .{} };
    call.log(@field(Level, @tagName(level)), prefix ++ format, args);
}

//! From a request to the method that answers it: which endpoint, what arguments, and what becomes of the result.

const std = @import("std");
const endpointd = @import("endpointd.zig");
const json = @import("json.zig");

const Call = endpointd.Call;

/// What the methods of an endpoint are called.
pub fn methods(comptime Endpoint: type) []const []const u8 {
    comptime {
        var names: []const []const u8 = &.{};
        for (@typeInfo(Endpoint).@"struct".decl_names) |name| {
            const Declared = @TypeOf(@field(Endpoint, name));
            if (@typeInfo(Declared) != .@"fn") continue;
            const parameters = @typeInfo(Declared).@"fn".param_types;
            if (parameters.len == 0 or parameters[0] != *Call) continue;
            if (parameters.len > 2 or (parameters.len == 2 and !isStruct(parameters[1]))) {
                const what = @typeName(Endpoint) ++ "." ++ name;
                @compileError(what ++ " takes a *endpointd.Call and perhaps a struct of arguments, nothing else");
            }
            names = names ++ &[_][]const u8{name};
        }
        return names;
    }
}

fn isStruct(comptime Parameter: ?type) bool {
    return Parameter != null and @typeInfo(Parameter.?) == .@"struct";
}

pub fn namespaceOf(comptime Endpoint: type) ?[]const u8 {
    return if (@hasDecl(Endpoint, "namespace")) Endpoint.namespace else null;
}

/// Answers one request: JSON, or an error whose exception `call.failureOf` knows.
pub fn dispatch(comptime endpoints: anytype, call: *Call, request: endpointd.Request) anyerror![]const u8 {
    defer call.close();
    call.context = .{ .json = request.context };
    var reason: []const u8 = undefined;
    if (json.parse(call.arena, request.context, &reason)) |context| {
        if (context == .object) call.context.entries = context.object;
    } else |err| if (err == error.OutOfMemory) return err;

    const asked: Version = .parse(request.version);
    var best: ?Version = null;
    inline for (endpoints) |Endpoint| {
        const version: Version = comptime .parse(Endpoint.version);
        const fits = version.major == asked.major and version.minor >= asked.minor and
            sameNamespace(namespaceOf(Endpoint), request.namespace) and has(Endpoint, request.method);
        if (fits and (best == null or best.?.minor < version.minor)) best = version;
    }
    inline for (endpoints) |Endpoint| {
        const version: Version = comptime .parse(Endpoint.version);
        if (best != null and std.meta.eql(best.?, version) and sameNamespace(namespaceOf(Endpoint), request.namespace)) {
            inline for (comptime methods(Endpoint)) |name| {
                if (std.mem.eql(u8, name, request.method)) {
                    return answer(@field(Endpoint, name), name, call, request.args);
                }
            }
        }
    }
    return call.fail(.{
        .class = "NoSuchMethod",
        .module = "oslo_messaging.rpc.dispatcher",
        .message = try call.print("Endpoint does not support RPC method {s}", .{request.method}),
    });
}

fn sameNamespace(served: ?[]const u8, asked: ?[]const u8) bool {
    if (served == null or asked == null) return served == null and asked == null;
    return std.mem.eql(u8, served.?, asked.?);
}

fn has(comptime Endpoint: type, method: []const u8) bool {
    inline for (comptime methods(Endpoint)) |name| if (std.mem.eql(u8, name, method)) return true;
    return false;
}

/// The first two numbers of a version, as Python's `int` reads them; what is none counts as 0.
const Version = struct {
    major: u32,
    minor: u32,

    fn parse(text: []const u8) Version {
        var parts = std.mem.splitScalar(u8, text, '.');
        return .{ .major = number(parts.next()), .minor = number(parts.next()) };
    }

    fn number(part: ?[]const u8) u32 {
        return std.fmt.parseInt(u32, std.mem.trim(u8, part orelse "", " "), 10) catch 0;
    }
};

fn answer(comptime method: anytype, comptime name: []const u8, call: *Call, args: []const u8) anyerror![]const u8 {
    const parameters = @typeInfo(@TypeOf(method)).@"fn".param_types;
    const Args = if (parameters.len == 2) parameters[1].? else struct {};
    const arguments = try readArguments(Args, name, call, args);
    const returned = if (parameters.len == 2) method(call, arguments) else method(call);
    const result = if (@typeInfo(@TypeOf(returned)) == .error_union) try returned else returned;
    var reason: []const u8 = undefined;
    return json.write(call.arena, result, &reason) catch |err| switch (err) {
        error.OutOfMemory => err,
        error.NotJson => call.fail(.{
            .class = "ValueError",
            .message = try call.print("the result is no JSON: {s}", .{reason}),
        }),
    };
}

fn readArguments(comptime Args: type, comptime method: []const u8, call: *Call, text: []const u8) !Args {
    var reason: []const u8 = undefined;
    const object = json.parseAs(std.json.ObjectMap, call.arena, text, &reason) catch |err| switch (err) {
        error.OutOfMemory => return err,
        else => return typeError(call, method ++ "() arguments: {s}", .{reason}),
    };
    if (Args == std.json.ObjectMap) return object;
    const fields = @typeInfo(Args).@"struct";
    var arguments: Args = undefined;
    inline for (fields.field_names, fields.field_types, fields.field_attrs) |name, Field, attrs| {
        @field(arguments, name) = if (object.get(name)) |value|
            json.read(Field, call.arena, value, &reason) catch |err| switch (err) {
                error.OutOfMemory => return err,
                error.WrongType => return typeError(call, method ++ "() argument '" ++ name ++ "': {s}", .{reason}),
            }
        else if (comptime attrs.defaultValue(Field)) |default|
            default
        else
            return typeError(call, method ++ "() missing a required argument: '" ++ name ++ "'", .{});
    }
    for (object.keys()) |key| {
        const known = inline for (fields.field_names) |name| {
            if (std.mem.eql(u8, name, key)) break true;
        } else false;
        if (!known) return typeError(call, method ++ "() got an unexpected keyword argument '{s}'", .{key});
    }
    return arguments;
}

fn typeError(call: *Call, comptime format: []const u8, args: anytype) error{ OutOfMemory, Failure } {
    return call.fail(.{ .class = "TypeError", .message = try call.print(format, args) });
}

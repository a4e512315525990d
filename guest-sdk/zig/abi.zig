//! The world `endpoint` of endpointd.wit as the canonical ABI lays it out in memory, and its imports. An import is in the
//! module only if something refers to it.

const std = @import("std");
const Bucket = @import("Bucket.zig");

/// Where a slice begins. The host checks that even of an empty one, which in Zig may be anywhere.
pub fn start(slice: anytype) @TypeOf(slice.ptr) {
    return if (slice.len == 0) @ptrFromInt(@alignOf(std.meta.Elem(@TypeOf(slice)))) else slice.ptr;
}

pub const Text = extern struct {
    pointer: [*]const u8,
    length: usize,

    pub fn of(text: []const u8) Text {
        return .{ .pointer = start(text), .length = text.len };
    }

    pub fn slice(text: Text) []const u8 {
        return text.pointer[0..text.length];
    }
};

pub const OptionalText = extern struct {
    is_some: bool,
    text: Text,

    pub fn of(text: ?[]const u8) OptionalText {
        return .{ .is_some = text != null, .text = .of(text orelse "") };
    }

    pub fn slice(optional: OptionalText) ?[]const u8 {
        return if (optional.is_some) optional.text.slice() else null;
    }
};

pub fn List(comptime T: type) type {
    return extern struct {
        pointer: [*]const T,
        length: usize,

        pub fn of(items: []const T) @This() {
            return .{ .pointer = start(items), .length = items.len };
        }

        pub fn slice(list: @This()) []const T {
            return list.pointer[0..list.length];
        }
    };
}

pub const Failure = extern struct {
    class: Text,
    module: Text,
    message: Text,
    kwargs: OptionalText,
    traceback: List(Text),
    expected: bool,
};

pub const Target = extern struct { namespace: OptionalText, version: Text, methods: List(Text) };

pub const Reply = extern struct {
    is_failure: bool,
    payload: extern union { result: Text, failure: Failure },
};

/// A tag and perhaps a text: what is wrong with a bucket, or with the settings.
pub const Problem = extern struct {
    kind: u8,
    text: Text,

    pub fn lifted(problem: Problem) Bucket.Problem {
        return switch (problem.kind) {
            0 => .no_such_bucket,
            1 => .access_denied,
            else => .{ .other = problem.text.slice() },
        };
    }
};

/// What an import leaves behind that can fail with such a problem.
pub fn Result(comptime T: type) type {
    return extern struct {
        is_error: bool,
        payload: extern union { value: T, problem: Problem },

        pub fn get(result: @This(), problem: *Bucket.Problem) error{Refused}!T {
            if (!result.is_error) return result.payload.value;
            problem.* = result.payload.problem.lifted();
            return error.Refused;
        }
    };
}

pub const OptionalNumber = extern struct { is_some: bool, number: u64 };

pub const call_info = struct {
    pub extern "endpointd:rpc/call-info@0.1.0" fn id(*Text) void;
    pub extern "endpointd:rpc/call-info@0.1.0" fn delivery() u32;
    pub extern "endpointd:rpc/call-info@0.1.0" fn @"remaining-ms"(*OptionalNumber) void;
    pub extern "endpointd:rpc/call-info@0.1.0" fn @"host-started-ms"() u64;
};

pub const logging = struct {
    pub extern "wasi:logging/logging@0.1.0-draft" fn log(u32, [*]const u8, usize, [*]const u8, usize) void;
};

pub const config = struct {
    pub extern "wasi:config/store@0.2.0-rc.1" fn get([*]const u8, usize, *Result(OptionalText)) void;
    pub extern "wasi:config/store@0.2.0-rc.1" fn @"get-all"(*Result(List([2]Text))) void;
};

pub const rpc = struct {
    pub const Message = extern struct {
        exchange: OptionalText,
        topic: Text,
        server: OptionalText,
        namespace: OptionalText,
        version: OptionalText,
        method: Text,
        args: Text,
        has_timeout: bool,
        timeout_ms: u32,
        context: OptionalText,
    };
    pub const Answer = extern struct {
        is_error: bool,
        payload: extern union {
            result: Text,
            problem: extern struct { kind: u8, payload: extern union { text: Text, failure: Failure } },
        },
    };

    pub extern "endpointd:rpc/client@0.1.0" fn call(*const Message, *Answer) void;
    pub extern "endpointd:rpc/client@0.1.0" fn cast(*const Message, *Answer) void;
    pub extern "endpointd:rpc/client@0.1.0" fn fanout(*const Message, *Answer) void;
};

pub const keyvalue = struct {
    pub const Page = extern struct { keys: List(Text), cursor: OptionalText };
    pub const Read = extern struct {
        cas: u32,
        value: OptionalText,

        pub fn held(read: Read) Bucket.Held {
            return .{ .handle = read.cas, .value = read.value.slice() };
        }
    };
    pub const Swapped = extern struct {
        is_error: bool,
        problem: extern struct { kind: u8, payload: extern union { store: Problem, conflict: Read } },
    };

    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn open([*]const u8, usize, *Result(u32)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.get"(u32, [*]const u8, usize, *Result(OptionalText)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.set"(u32, [*]const u8, usize, [*]const u8, usize, *Result(u8)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.delete"(u32, [*]const u8, usize, *Result(u8)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.exists"(u32, [*]const u8, usize, *Result(bool)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.list-keys"(u32, bool, [*]const u8, usize, *Result(Page)) void;
    pub extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[resource-drop]bucket"(u32) void;
    pub extern "wasi:keyvalue/atomics@0.2.0-draft2" fn increment(u32, [*]const u8, usize, i64, *Result(i64)) void;
    pub extern "wasi:keyvalue/atomics@0.2.0-draft2" fn @"[static]cas.new-with-read"(u32, [*]const u8, usize, *Result(Read)) void;
    pub extern "wasi:keyvalue/atomics@0.2.0-draft2" fn swap(u32, [*]const u8, usize, *Swapped) void;
    pub extern "wasi:keyvalue/atomics@0.2.0-draft2" fn @"[resource-drop]cas"(u32) void;
};

pub const clock = struct {
    pub const Time = extern struct { seconds: u64, nanoseconds: u32 };

    pub extern "wasi:clocks/wall-clock@0.2.0" fn now(*Time) void;
};

pub const entropy = struct {
    pub extern "wasi:random/random@0.2.0" fn @"get-random-u64"() u64;
};

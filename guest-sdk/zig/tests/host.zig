const std = @import("std");
const endpointd = @import("endpointd");

const Host = endpointd.testing.Host;
const expectEqual = std.testing.expectEqual;
const expectEqualStrings = std.testing.expectEqualStrings;
const expectError = std.testing.expectError;

test "a bucket keeps values" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    const bucket = try call.bucket("stock");
    try bucket.setJson("b", .{ .n = 1 });
    try bucket.set("a", "raw");
    try expectEqual(3, try bucket.increment("c", 3));
    try expectEqual(2, try bucket.increment("c", -1));
    try expectEqualStrings("raw", (try bucket.get("a")).?);
    try expectEqual(1, (try bucket.getJson(struct { n: i64 }, "b")).?.n);
    try expectEqual(null, try bucket.getJson(i64, "none"));
    const keys = try bucket.keys();
    try expectEqual(3, keys.len);
    try expectEqualStrings("a", keys[0]);
    try bucket.delete("a");
    try expectEqual(false, try bucket.exists("a"));
    try expectEqual(true, try bucket.exists("b"));
}

test "a bucket's errors are told apart" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    const bucket = try call.bucket("stock");
    try bucket.set("a", "raw");
    try expectError(error.UnexpectedValue, bucket.getJson(i64, "a"));
    try expectEqualStrings("a value of the bucket is not as expected: it is no JSON at byte 0", call.failure.message);
    host.broken_bucket = "stock";
    try expectError(error.BucketFailed, bucket.get("a"));
    try expectEqualStrings("the bucket failed: broken by the test", call.failure.message);
    try expectEqualStrings("BucketError", call.failure.class);
    try expectEqualStrings("endpointd", call.failure.module);
}

test "who swaps second sees what was first" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    const bucket = try call.bucket("stock");
    var first = try bucket.swap(i64, "n");
    var second = try bucket.swap(i64, "n");
    try expectEqual(true, try first.put(1));
    try expectEqual(null, first.current);
    try expectEqual(false, try second.put(2));
    try expectEqual(1, second.current);
    try expectEqual(true, try second.put(2));
    try expectEqual(2, try bucket.getJson(i64, "n"));
    try expectError(error.BucketFailed, second.put(3));
}

test "calls to others have results and errors" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    const client = call.client(.{ .topic = "suppliers", .version = "1.0", .timeout = .fromSeconds(2) });
    try expectError(error.Unroutable, client.call(i64, "order", .{}));
    try expectEqualStrings("MessageUndeliverable", call.failure.class);
    try expectEqualStrings("oslo_messaging.exceptions", call.failure.module);
    host.answer = struct {
        fn answer(_: *Host, message: endpointd.testing.Sent) endpointd.testing.Answer {
            if (std.mem.eql(u8, message.method, "order")) return .{ .result = "5" };
            if (std.mem.eql(u8, message.method, "late")) return .{ .problem = .timeout };
            return .{ .problem = .{ .remote = .{ .class = "NotHere", .module = "suppliers" } } };
        }
    }.answer;
    try expectEqual(5, try client.call(i64, "order", .{ .name = "nut" }));
    try expectError(error.UnexpectedResult, client.call(bool, "order", .{}));
    try expectEqualStrings("the result is not what was expected: true or false is needed, not 5", call.failure.message);
    try expectError(error.Timeout, client.call(i64, "late", .{}));
    try expectEqualStrings("there was no reply in time", call.failure.message);
    try expectError(error.Remote, client.call(i64, "other", .{}));
    try expectEqualStrings("NotHere", call.failure.class);
    try client.cast("order", .{});
    try client.fanout("order", .{ .x = 1 });
    const last = host.sent.items[host.sent.items.len - 1];
    try expectEqual(.fanout, last.kind);
    try expectEqualStrings("{\"x\":1}", last.args);
}

test "settings are text, or what they are read as" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    var call = try host.call("{}");
    try host.configure("n", " 5 ");
    try host.configure("flag", "true");
    try expectEqual(5, try call.settingAs(i64, "n"));
    try expectEqual(true, try call.settingAs(bool, "flag"));
    try expectEqual(null, try call.settingAs(f64, "none"));
    try expectEqual(null, call.setting("none"));
    try expectEqual(2, call.settings().len);
    try expectError(error.WrongSetting, call.settingAs(i64, "flag"));
    try expectEqualStrings("setting `flag` of the plugin is wrong: it is no i64", call.failure.message);
}

test "what is known of the call, the log, time and chance" {
    var host: Host = .init(std.testing.allocator);
    defer host.deinit();
    host.id = "abc";
    host.waits = .cast;
    host.remaining_ms = 5;
    host.started_ms = 7;
    host.time = .fromNanoseconds(3_000_000_000);
    var call = try host.call("{\"user\":\"Ada\"}");
    try expectEqualStrings("Ada", call.context.text("user").?);
    try expectEqualStrings("abc", call.id());
    try expectEqual(.cast, call.delivery());
    try expectEqual(5, call.remainingMs());
    try expectEqual(7, call.hostStartedMs());
    try expectEqual(3, call.now().toSeconds());
    try expectEqual(true, call.random().int(u64) != call.random().int(u64));
    call.log(.warn, "{d} left", .{2});
    try expectEqual(.warn, host.lines.items[0].level);
    try expectEqualStrings("2 left", host.lines.items[0].message);
}

//! A stock of items in a bucket, that orders more of what runs out.

const std = @import("std");
const endpointd = @import("endpointd");

pub const panic = endpointd.panic;

comptime {
    endpointd.serve(.{Inventory});
}

/// What is stored of an item.
const Item = struct { name: []const u8, quantity: i64, note: ?[]const u8, by: ?[]const u8 };

/// What a caller learns who put an item.
const Put = struct {
    name: []const u8,
    quantity: i64,
    note: ?[]const u8,
    by: ?[]const u8,
    previous: ?i64,
    order: ?[]const u8,
};

const Count = struct { items: usize, quantity: i64, puts: i64 };

const Inventory = struct {
    pub const version = "1.1";

    /// Sets how many there are of an item, and orders more where that is too few.
    pub fn put(call: *endpointd.Call, args: struct { name: []const u8, quantity: i64, note: ?[]const u8 = null }) !Put {
        if (args.name.len == 0) return call.fail(.{ .class = "ValueError", .message = "a name is needed" });
        if (args.quantity < 0) return call.fail(.{
            .class = "InvalidQuantity",
            .module = "inventory.exceptions",
            .message = try call.print("the quantity of {s} cannot be {d}", .{ args.name, args.quantity }),
            .kwargs = try call.toJson(.{ .name = args.name, .quantity = args.quantity }),
            .expected = true,
        });
        const by = call.context.text("user");
        const stock = try call.bucket("inventory");
        var swap = try stock.swap(Item, try keyOf(call, args.name));
        while (!try swap.put(.{ .name = args.name, .quantity = args.quantity, .note = args.note, .by = by })) {}
        _ = try stock.increment("puts", 1);
        call.log(.info, "{s}: {d}, by request {s}", .{ args.name, args.quantity, call.id() });
        return .{
            .name = args.name,
            .quantity = args.quantity,
            .note = args.note,
            .by = by,
            .previous = if (swap.current) |before| before.quantity else null,
            .order = try order(call, args.name, args.quantity),
        };
    }

    pub fn get(call: *endpointd.Call, args: struct { name: []const u8 }) !Item {
        const stock = try call.bucket("inventory");
        return try stock.getJson(Item, try keyOf(call, args.name)) orelse call.fail(.{
            .class = "ItemNotFound",
            .module = "inventory.exceptions",
            .message = try call.print("there is no item {s}", .{args.name}),
            .kwargs = try call.toJson(.{ .name = args.name }),
            .expected = true,
        });
    }

    /// The names that begin with a prefix.
    pub fn list(call: *endpointd.Call, args: struct { prefix: []const u8 = "" }) ![]const []const u8 {
        return names(call, try call.bucket("inventory"), args.prefix);
    }

    pub fn count(call: *endpointd.Call) !Count {
        const stock = try call.bucket("inventory");
        var counted: Count = .{ .items = 0, .quantity = 0, .puts = try stock.getJson(i64, "puts") orelse 0 };
        for (try names(call, stock, "")) |name| {
            const item = try stock.getJson(Item, try keyOf(call, name)) orelse continue;
            counted.items += 1;
            counted.quantity = try std.math.add(i64, counted.quantity, item.quantity);
        }
        return counted;
    }

    /// FNV-1a over every name, as often as one likes.
    pub fn checksum(call: *endpointd.Call, args: struct { rounds: u64 = 1 }) !u32 {
        const all = try names(call, try call.bucket("inventory"), "");
        var sum: u32 = 2_166_136_261;
        var round: u64 = 0;
        while (round < args.rounds) : (round += 1) {
            for (all) |name| for (name) |byte| {
                sum = (sum ^ byte) *% 16_777_619;
            };
        }
        return sum;
    }
};

fn keyOf(call: *endpointd.Call, name: []const u8) ![]const u8 {
    return call.print("item/{s}", .{name});
}

fn names(call: *endpointd.Call, stock: endpointd.Bucket, prefix: []const u8) ![]const []const u8 {
    var found: std.ArrayList([]const u8) = .empty;
    for (try stock.keys()) |key| {
        const name = std.mem.cutPrefix(u8, key, "item/") orelse continue;
        if (std.mem.startsWith(u8, name, prefix)) try found.append(call.arena, name);
    }
    return found.items;
}

/// Orders what is missing, where the operator said how much there should be.
fn order(call: *endpointd.Call, name: []const u8, quantity: i64) !?[]const u8 {
    const enough = try call.settingAs(i64, "reorder_below") orelse return null;
    if (quantity >= enough) return null;
    const suppliers = call.client(.{ .topic = "suppliers", .version = "1.0" });
    return try suppliers.call([]const u8, "order", .{ .name = name, .quantity = enough - quantity });
}

test "what runs out is ordered" {
    var host: endpointd.testing.Host = .init(std.testing.allocator);
    defer host.deinit();
    try host.configure("reorder_below", "5");
    host.answer = struct {
        fn answer(_: *endpointd.testing.Host, _: endpointd.testing.Sent) endpointd.testing.Answer {
            return .{ .result = "\"ordered\"" };
        }
    }.answer;
    var call = try host.call("{}");
    try std.testing.expectEqual(null, (try Inventory.put(&call, .{ .name = "nut", .quantity = 5 })).order);
    const again = try Inventory.put(&call, .{ .name = "nut", .quantity = 3 });
    try std.testing.expectEqual(5, again.previous);
    try std.testing.expectEqualStrings("ordered", again.order.?);
    try std.testing.expectEqualStrings("{\"name\":\"nut\",\"quantity\":2}", host.sent.items[0].args);
    try std.testing.expectError(error.Failure, Inventory.get(&call, .{ .name = "bolt" }));
    try std.testing.expectEqualStrings("there is no item bolt", call.failure.message);
}

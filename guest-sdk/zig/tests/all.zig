//! The library's tests, natively, as an author's own run.

test {
    _ = @import("json.zig");
    _ = @import("requests.zig");
    _ = @import("host.zig");
}

const std = @import("std");

pub fn build(b: *std.Build) void {
    const endpointd = b.addModule("endpointd", .{ .root_source_file = b.path("endpointd.zig") });

    const tests = b.addTest(.{ .root_module = b.createModule(.{
        .root_source_file = b.path("tests/all.zig"),
        .target = b.graph.host,
        .imports = &.{.{ .name = "endpointd", .module = endpointd }},
    }) });
    b.step("test", "Run the library's tests").dependOn(&b.addRunArtifact(tests).step);
}

//! What `bindgen!` makes of the contract in `guest-sdk/wit`, and nothing else.

wasmtime::component::bindgen!({
    path: "../guest-sdk/wit",
    world: "endpoint",
    imports: {
        "wasi:config": async | trappable,
        "wasi:keyvalue": async | trappable,
        "endpointd:rpc/client": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
        "wasi:random": wasmtime_wasi::p2::bindings::random,
        "wasi:keyvalue/store.bucket": crate::keyvalue::OpenBucket,
        "wasi:keyvalue/atomics.cas": crate::keyvalue::PendingSwap,
    },
});

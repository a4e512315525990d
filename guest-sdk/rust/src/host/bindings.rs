//! What wit-bindgen makes of the contract, and nothing else.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    unreachable_pub,
    unused_qualifications
)]

wit_bindgen::generate!({
    path: "wit",
    world: "endpoint-with-http",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export",

});

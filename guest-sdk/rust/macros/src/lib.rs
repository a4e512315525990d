//! `#[endpoint]`: makes the public methods of an `impl` block callable over RPC.
//!
//! It only writes glue, and every misuse is a compile error at the line that is wrong.

mod method;
mod options;

use proc_macro::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ItemImpl, Visibility, parse_macro_input};

use self::method::Method;
use self::options::Options;

/// Serves the public methods of an `impl` block under a namespace and a version.
///
/// ```text
/// #[endpoint(version = "1.4")]                       // the null namespace
/// #[endpoint(namespace = "leases", version = "2.0")]
/// #[endpoint(version = "1.0", export = false)]       // one of several: see `export!`
/// ```
///
/// - Each `pub fn` with `&self` is a method of that name; private ones are yours alone.
/// - A parameter of type `&Context` gets the request context.
/// - Every other parameter is a keyword argument of its name, of any type that implements
///   `serde::Deserialize`. One of type `Option` may be missing.
/// - One parameter may carry `#[kwargs]` and gets all the arguments that no other one took.
/// - What is returned implements `serde::Serialize`, or is a `Result` of it and of an error that
///   converts into `Failure`.
///
/// The struct implements `Default`; one value of it lives as long as its instance.
#[proc_macro_attribute]
pub fn endpoint(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let block = parse_macro_input!(item as ItemImpl);
    expand(&options, block)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(options: &Options, mut block: ItemImpl) -> syn::Result<proc_macro2::TokenStream> {
    if let Some((_, path, _)) = &block.trait_ {
        let text = "`#[endpoint]` goes on a plain `impl` block, not on that of a trait";
        return Err(Error::new(path.span(), text));
    }
    if !block.generics.params.is_empty() {
        let text = "an endpoint has no generic parameters: the host could not choose them";
        return Err(Error::new(block.generics.span(), text));
    }
    let mut methods = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item
            && matches!(function.vis, Visibility::Public(_))
        {
            methods.push(Method::parse(function)?);
        }
    }
    if methods.is_empty() {
        let text = "an endpoint needs at least one `pub fn`: those are what callers can call";
        return Err(Error::new(block.self_ty.span(), text));
    }

    let endpoint = &block.self_ty;
    let version = &options.version;
    let namespace = match &options.namespace {
        Some(namespace) => quote!(::core::option::Option::Some(#namespace)),
        None => quote!(::core::option::Option::None),
    };
    let names = methods.iter().map(|method| &method.name);
    let arms = methods.iter().map(Method::arm);
    // At the type, so that a struct that is not `Default` is told so there.
    let export = options
        .export
        .then(|| quote_spanned!(endpoint.span()=> ::endpointd_guest::export!(#endpoint);));
    Ok(quote! {
        // `pub` marks what callers can call, not what other crates can.
        #[allow(unreachable_pub)]
        #block

        impl ::endpointd_guest::Endpoint for #endpoint {
            const NAMESPACE: ::core::option::Option<&'static str> = #namespace;
            const VERSION: &'static str = #version;
            const METHODS: &'static [&'static str] = &[#(#names),*];

            fn dispatch(
                &self,
                request: &::endpointd_guest::Request,
            ) -> ::core::result::Result<::std::string::String, ::endpointd_guest::Failure> {
                match request.method.as_str() {
                    #(#arms)*
                    other => ::core::result::Result::Err(
                        ::endpointd_guest::Failure::no_such_method(other),
                    ),
                }
            }
        }

        #export
    })
}

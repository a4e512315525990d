//! One method: from its signature to the `match` arm that calls it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItemFn, Pat, PatType, ReturnType, Type};

pub(crate) struct Method {
    /// As callers spell it.
    pub(crate) name: String,
    ident: Ident,
    parameters: Vec<Parameter>,
    returns_result: bool,
    /// Where a result that cannot be sent is pointed out.
    return_span: Span,
}

struct Parameter {
    ident: Ident,
    ty: Type,
    role: Role,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Context,
    Required,
    Optional,
    /// Everything that no other parameter took.
    Rest,
}

impl Method {
    /// Reads the signature, and takes the attributes that are ours out of it.
    pub(crate) fn parse(function: &mut ImplItemFn) -> syn::Result<Self> {
        let signature = &mut function.sig;
        if let Some(keyword) = &signature.asyncness {
            let text = "a method is a plain `fn`: a plugin answers one request at a time";
            return Err(Error::new(keyword.span(), text));
        }
        if !signature.generics.params.is_empty() {
            let text = "a method has no generic parameters: callers could not choose them";
            return Err(Error::new(signature.generics.span(), text));
        }
        let mut inputs = signature.inputs.iter_mut();
        match inputs.next() {
            Some(FnArg::Receiver(receiver))
                if receiver.reference.is_some() && receiver.mutability.is_none() => {}
            Some(FnArg::Receiver(receiver)) => {
                let text = "a method takes `&self`: what is to last belongs in a bucket";
                return Err(Error::new(receiver.span(), text));
            }
            _ => {
                let text = "a method takes `&self`; make it private if callers have no use for it";
                return Err(Error::new(signature.ident.span(), text));
            }
        }
        let mut parameters = Vec::new();
        for input in inputs {
            if let FnArg::Typed(input) = input {
                parameters.push(Parameter::parse(input)?);
            }
        }
        for role in [Role::Context, Role::Rest] {
            let mut same = parameters.iter().filter(|parameter| parameter.role == role);
            if let (Some(_), Some(second)) = (same.next(), same.next()) {
                let text = match role {
                    Role::Rest => "only one parameter can be #[kwargs]",
                    _ => "the context is given once",
                };
                return Err(Error::new(second.ident.span(), text));
            }
        }
        Ok(Self {
            name: signature
                .ident
                .to_string()
                .trim_start_matches("r#")
                .to_owned(),
            ident: signature.ident.clone(),
            parameters,
            return_span: return_type(&signature.output).map_or(signature.ident.span(), Type::span),
            returns_result: is_named(return_type(&signature.output), "Result"),
        })
    }

    /// The arm that reads the arguments, calls the method and writes its reply.
    pub(crate) fn arm(&self) -> TokenStream {
        let Self { name, ident, .. } = self;
        let passing = self.parameters.iter().map(|parameter| {
            let variable = &parameter.ident;
            match parameter.role {
                Role::Context => quote!(&request.context),
                _ => quote!(#variable),
            }
        });
        let reading = match self.parameters.iter().any(|one| one.role == Role::Rest) {
            true => self.read_one_by_one(),
            false => self.read_at_once(),
        };
        let function = match self.returns_result {
            true => Ident::new("reply_result", self.return_span),
            false => Ident::new("reply", self.return_span),
        };
        let reply = quote_spanned! {self.return_span=>
            ::endpointd_guest::__private::#function(self.#ident(#(#passing),*))
        };
        quote! {
            #name => {
                #reading
                #reply
            }
        }
    }

    /// Reads all arguments in one pass.
    fn read_at_once(&self) -> TokenStream {
        let Self { name, .. } = self;
        let mut parameters = quote!(());
        let mut variables = quote!(());
        let mut arguments = Vec::new();
        for parameter in self.arguments().rev() {
            let Parameter { ident, ty, .. } = parameter;
            let key = parameter.key();
            // At the type, so that one that cannot be read from JSON is told so there.
            let span = ty.span();
            let (made, argument) = match parameter.role {
                Role::Optional => (
                    quote_spanned!(span=> ::endpointd_guest::__private::Parameter::<#ty>::optional(#key)),
                    quote!(#ident.argument().flatten()),
                ),
                _ => (
                    quote_spanned!(span=> ::endpointd_guest::__private::Parameter::<#ty>::required(#key)),
                    quote!(#ident.required_argument(#name)?),
                ),
            };
            parameters = quote!((#made, #parameters));
            variables = quote!((#ident, #variables));
            arguments.insert(0, quote!(let #ident = #argument;));
        }
        quote! {
            let mut parameters = #parameters;
            ::endpointd_guest::__private::read(#name, &request.args, &mut parameters)?;
            let #variables = parameters;
            #(#arguments)*
        }
    }

    /// Reads each argument when its turn comes, and the rest as one value.
    fn read_one_by_one(&self) -> TokenStream {
        let Self { name, .. } = self;
        let mut reading = Vec::new();
        let mut rest = TokenStream::new();
        for parameter in self.arguments() {
            let Parameter { ident, ty, .. } = parameter;
            let key = parameter.key();
            let span = ty.span();
            match parameter.role {
                // It is read last wherever it stands.
                Role::Rest => rest = quote_spanned!(span=> let #ident: #ty = arguments.rest()?;),
                Role::Optional => reading
                    .push(quote_spanned!(span=> let #ident: #ty = arguments.optional(#key)?;)),
                _ => reading
                    .push(quote_spanned!(span=> let #ident: #ty = arguments.required(#key)?;)),
            }
        }
        quote! {
            #[allow(unused_mut)]
            let mut arguments =
                ::endpointd_guest::__private::Arguments::parse(#name, &request.args)?;
            #(#reading)*
            #rest
        }
    }

    /// The parameters that arguments are for.
    fn arguments(&self) -> impl DoubleEndedIterator<Item = &Parameter> {
        let parameters = self.parameters.iter();
        parameters.filter(|parameter| parameter.role != Role::Context)
    }
}

impl Parameter {
    /// The name of its argument.
    fn key(&self) -> String {
        let name = self.ident.to_string();
        name.trim_start_matches("r#").to_owned()
    }

    fn parse(input: &mut PatType) -> syn::Result<Self> {
        let before = input.attrs.len();
        input
            .attrs
            .retain(|attribute| !attribute.path().is_ident("kwargs"));
        let rest = input.attrs.len() != before;
        let Pat::Ident(pattern) = &*input.pat else {
            let text = "a parameter is a plain name: it is the name of the keyword argument";
            return Err(Error::new(input.pat.span(), text));
        };
        let ty = &*input.ty;
        let role = match ty {
            Type::Reference(reference) if is_named(Some(&reference.elem), "Context") => {
                Role::Context
            }
            Type::Reference(_) => {
                let text = "an argument is owned, such as `String`; only `&Context` is a reference";
                return Err(Error::new(ty.span(), text));
            }
            _ if rest => Role::Rest,
            _ if is_named(Some(ty), "Option") => Role::Optional,
            _ => Role::Required,
        };
        if rest && role == Role::Context {
            return Err(Error::new(
                ty.span(),
                "the context is not among the arguments",
            ));
        }
        Ok(Self {
            ident: pattern.ident.clone(),
            ty: ty.clone(),
            role,
        })
    }
}

fn return_type(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Type(_, ty) => Some(ty),
        ReturnType::Default => None,
    }
}

/// Whether the type's last segment is `name`.
fn is_named(ty: Option<&Type>, name: &str) -> bool {
    match ty {
        Some(Type::Path(path)) => {
            let last = path.path.segments.last();
            last.is_some_and(|segment| segment.ident == name)
        }
        _ => false,
    }
}

//! What stands in the parentheses of `#[endpoint(...)]`.

use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, LitBool, LitStr, Token};

pub(crate) struct Options {
    pub(crate) namespace: Option<LitStr>,
    pub(crate) version: LitStr,
    pub(crate) export: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut namespace, mut version, mut export) = (None, None, None);
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let again = match name.to_string().as_str() {
                "namespace" => namespace.replace(input.parse::<LitStr>()?).is_some(),
                "version" => version.replace(checked_version(input.parse()?)?).is_some(),
                "export" => export.replace(input.parse::<LitBool>()?.value).is_some(),
                other => {
                    let text =
                        format!("unknown option `{other}`: use `namespace`, `version` or `export`");
                    return Err(Error::new(name.span(), text));
                }
            };
            if again {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = "an endpoint needs a version: #[endpoint(version = \"1.0\")]";
        Ok(Self {
            namespace,
            version: version.ok_or_else(|| Error::new(input.span(), missing))?,
            export: export.unwrap_or(true),
        })
    }
}

/// `major.minor` or `major.minor.revision`, in digits.
fn checked_version(version: LitStr) -> syn::Result<LitStr> {
    let text = version.value();
    let parts: Vec<_> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match (2..=3).contains(&parts.len()) && parts.iter().all(number) {
        true => Ok(version),
        false => {
            let text = format!("`{text}` is not a version: write major.minor, such as \"1.4\"");
            Err(Error::new(version.span(), text))
        }
    }
}

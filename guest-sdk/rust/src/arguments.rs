//! From the keyword arguments of a call, which are the text of an object, to a method's parameters.
//!
//! All are read in one pass. Whatever does not fit is looked at once more, argument by argument, for an error that
//! says which it is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::{Result, builtins};

/// One parameter of a method.
pub struct Parameter<T> {
    name: &'static str,
    is_required: bool,
    value: Option<T>,
}

impl<T> Parameter<T> {
    /// One whose argument must be there.
    pub fn required(name: &'static str) -> Self
    where
        T: DeserializeOwned,
    {
        Self {
            name,
            is_required: true,
            value: None,
        }
    }

    /// One whose argument may be missing.
    pub fn optional(name: &'static str) -> Self
    where
        T: DeserializeOwned,
    {
        Self {
            name,
            is_required: false,
            value: None,
        }
    }

    /// Its argument, if there was one.
    pub fn argument(self) -> Option<T> {
        self.value
    }

    /// Its argument, which must be there.
    pub fn required_argument(self, method: &str) -> Result<T> {
        self.value.ok_or_else(|| missing(method, self.name))
    }
}

fn missing(method: &str, name: &str) -> crate::Failure {
    builtins::type_error(format!("{method}() missing a required argument: '{name}'"))
}

/// The parameters of a method: pairs of one and the rest, down to `()`.
pub trait Parameters {
    /// Reads the next value if it is for one of them.
    fn read_next<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        arguments: &mut A,
    ) -> Result<bool, A::Error>;

    /// Reads each in turn, as far as that goes.
    fn read_each(&mut self, arguments: &mut Arguments<'_>) -> Result<()>;
}

impl Parameters for () {
    fn read_next<'de, A: MapAccess<'de>>(&mut self, _: &str, _: &mut A) -> Result<bool, A::Error> {
        Ok(false)
    }

    fn read_each(&mut self, _: &mut Arguments<'_>) -> Result<()> {
        Ok(())
    }
}

impl<T: DeserializeOwned, Rest: Parameters> Parameters for (Parameter<T>, Rest) {
    fn read_next<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        arguments: &mut A,
    ) -> Result<bool, A::Error> {
        let (first, rest) = self;
        if first.name != name {
            return rest.read_next(name, arguments);
        }
        first.value = Some(arguments.next_value()?);
        Ok(true)
    }

    fn read_each(&mut self, arguments: &mut Arguments<'_>) -> Result<()> {
        let (first, rest) = self;
        first.value = match first.is_required {
            true => Some(arguments.required(first.name)?),
            false => arguments.optional(first.name)?,
        };
        rest.read_each(arguments)
    }
}

/// Reads the arguments of a call into the parameters of its method.
pub fn read(method: &'static str, args: &str, parameters: &mut impl Parameters) -> Result<()> {
    let mut reader = serde_json::Deserializer::from_str(args);
    let at_once = reader.deserialize_map(AtOnce(&mut *parameters));
    if at_once.and_then(|()| reader.end()).is_ok() {
        return Ok(());
    }
    let mut arguments = Arguments::parse(method, args)?;
    parameters.read_each(&mut arguments)?;
    arguments.finish()
}

struct AtOnce<'a, P>(&'a mut P);

impl<'de, P: Parameters> Visitor<'de> for AtOnce<'_, P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// The last of equal names counts, as in Python.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            if !self.0.read_next(&name, &mut map)? {
                return Err(A::Error::custom("unexpected"));
            }
        }
        Ok(())
    }
}

/// A name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keyword arguments of a call, each read when its parameter is reached.
pub struct Arguments<'a> {
    method: &'static str,
    left: Vec<(String, &'a RawValue)>,
}

impl<'a> Arguments<'a> {
    /// Splits the arguments without reading their values.
    pub fn parse(method: &'static str, args: &'a str) -> Result<Self> {
        let left: Entries<'a> = serde_json::from_str(args)
            .map_err(|error| builtins::type_error(format!("{method}() arguments: {error}")))?;
        Ok(Self {
            method,
            left: left.0,
        })
    }

    /// An argument that must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let method = self.method;
        let value = self.take(name).ok_or_else(|| missing(method, name))?;
        self.read(name, value)
    }

    /// An argument that may be missing.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => self.read(name, value),
        }
    }

    /// Whatever is left, as one value.
    pub fn rest<T: DeserializeOwned>(self) -> Result<T> {
        let mut rest = Map::new();
        for (name, value) in &self.left {
            let value: Value = self.read(name, value)?;
            rest.insert(name.clone(), value);
        }
        serde_json::from_value(Value::Object(rest))
            .map_err(|error| builtins::type_error(format!("{}(): {error}", self.method)))
    }

    /// Refuses what no parameter took.
    pub fn finish(self) -> Result<()> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(builtins::type_error(format!(
                "{}() got an unexpected keyword argument '{name}'",
                self.method
            ))),
        }
    }

    /// The last of equal names counts, as in Python.
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let value = self.left.iter().rfind(|(key, _)| key == name)?.1;
        self.left.retain(|(key, _)| key != name);
        Some(value)
    }

    fn read<T: DeserializeOwned>(&self, name: &str, value: &RawValue) -> Result<T> {
        serde_json::from_str(value.get()).map_err(|error| {
            let method = self.method;
            builtins::type_error(format!("{method}() argument '{name}': {error}"))
        })
    }
}

/// An object's entries, each value as the text it came as.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Splitting;
        impl<'de> Visitor<'de> for Splitting {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Splitting).map(Entries)
    }
}

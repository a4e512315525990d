//! The contract as guests are held to it, and what is wrong with one that does not fit: in the words
//! of its author, who knows exports and signatures, and not how they are checked.

use std::collections::BTreeMap;
use std::fmt::Write;

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};
use wit_component::{DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, InterfaceId, Resolve, Type, TypeDefKind, WorldId, WorldItem, WorldKey};

macro_rules! contract {
    ($file:literal) => {
        (
            $file,
            include_str!(concat!("../../../guest-sdk/wit/", $file)),
        )
    };
}

/// The contract, as guests are built against it; each file after those it uses.
const CONTRACT: [(&str, &str); 8] = [
    contract!("deps/wasi-clocks.wit"),
    contract!("deps/wasi-config.wit"),
    contract!("deps/wasi-io.wit"),
    contract!("deps/wasi-http.wit"),
    contract!("deps/wasi-keyvalue.wit"),
    contract!("deps/wasi-logging.wit"),
    contract!("deps/wasi-random.wit"),
    contract!("endpointd.wit"),
];
/// The world with every import that there is.
const WORLD: &str = "endpoint-with-http";
const PACKAGE: &str = "endpointd:rpc";
/// Wrong imports that are told one by one: a file may have a million.
const MAX_IMPORTS_TOLD: usize = 20;
/// Types of functions.
const MAX_TYPES: usize = 100_000;
const REBUILD: &str = "build it again with the guest library that belongs to this host";

/// The contract, parsed.
pub struct Contract {
    resolve: Resolve,
    world: WorldId,
}

impl Contract {
    pub fn read() -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        let mut package = None;
        for (name, text) in CONTRACT {
            package = Some(resolve.push_str(name, text)?);
        }
        let world = resolve.select_world(package.as_slice(), Some(WORLD))?;
        Ok(Self { resolve, world })
    }

    /// Says in the module itself what its exports and imports are.
    pub fn describe(&self, module: &mut Vec<u8>) -> anyhow::Result<()> {
        embed_component_metadata(module, &self.resolve, self.world, StringEncoding::UTF8)
    }

    /// What is wrong with a core module; empty if that cannot be said.
    pub fn misfits_of_module(&self, module: &[u8]) -> Vec<String> {
        let Some(surface) = Surface::of(module) else {
            return Vec::new();
        };
        let imported = surface.imports.iter().map(|(module, _, _)| *module);
        if let Some(version) = other_version(imported) {
            return vec![version];
        }
        if let Ok((_, described)) = wit_component::metadata::decode(module)
            && let Some(version) = self.other_version_in(&described.resolve)
        {
            return vec![version];
        }
        let mut imports = surface.imports.iter().filter_map(|(module, name, index)| {
            self.misfit_import(module, name, surface.signature(*index)?)
        });
        let exports = self.functions().filter_map(|wanted| {
            let core = self.core(AbiVariant::GuestExport, wanted);
            surface.misfit_export(&[&wanted.name, &format!("cm32p2||{}", wanted.name)], &core)
        });
        let realloc = core_type(&[ValType::I32; 4], &[ValType::I32]);
        let realloc = surface.misfit_export(&["cabi_realloc", "cm32p2_realloc"], &realloc);
        let memory = (!surface.exports_memory).then(|| "it exports no memory `memory`".to_owned());
        let mut misfits: Vec<_> = imports.by_ref().take(MAX_IMPORTS_TOLD).collect();
        if imports.next().is_some() {
            misfits.push("and it imports more that is wrong".to_owned());
        }
        misfits.extend(exports.chain(realloc).chain(memory));
        misfits
    }

    /// What is wrong with a component; `None` if that cannot be said.
    pub fn misfit_of_component(&self, component: &[u8]) -> Option<String> {
        let DecodedWasm::Component(resolve, world) = wit_component::decode(component).ok()? else {
            return Some("it holds only interfaces, and nothing that runs".to_owned());
        };
        let exports = &resolve.worlds[world].exports;
        self.functions().find_map(|wanted| {
            let expected = spelled(&self.resolve, wanted);
            match exports.get(&WorldKey::Name(wanted.name.clone())) {
                Some(WorldItem::Function(found)) => {
                    let difference = difference(
                        (&resolve, &signature(found)),
                        (&self.resolve, &signature(wanted)),
                    )?;
                    Some(format!(
                        "its `{}` is not what the contract has, `{expected}`: {difference}",
                        wanted.name
                    ))
                }
                _ => {
                    let name = &wanted.name;
                    let names: Vec<_> = exports
                        .keys()
                        .map(|key| resolve.name_world_key(key))
                        .collect();
                    let instead = match names.is_empty() {
                        true => "it exports nothing".to_owned(),
                        false => format!("it exports {}", names.join(", ")),
                    };
                    Some(format!(
                        "it does not export the function `{name}` at the level of its world, \
                         `{expected}`; {instead}"
                    ))
                }
            }
        })
    }

    /// What a guest exports.
    fn functions(&self) -> impl Iterator<Item = &Function> {
        self.resolve.worlds[self.world]
            .exports
            .values()
            .filter_map(|item| match item {
                WorldItem::Function(function) => Some(function),
                _ => None,
            })
    }

    fn core(&self, variant: AbiVariant, function: &Function) -> FuncType {
        let signature = self.resolve.wasm_signature(variant, function);
        let values = |types: &[WasmType]| types.iter().map(core_value).collect::<Vec<_>>();
        core_type(&values(&signature.params), &values(&signature.results))
    }

    /// What is wrong with one import of a core module.
    fn misfit_import(&self, module: &str, name: &str, found: &FuncType) -> Option<String> {
        // That is adapted, and by its own rules.
        if module == "wasi_snapshot_preview1" {
            return None;
        }
        let Some(interface) = self.interface(module) else {
            let hint = match (module, name) {
                ("env", "abort") => {
                    ": AssemblyScript's compiler leaves it out with `--use abort=FILE/FUNCTION`"
                }
                ("env", _) => {
                    ": a function that was declared and nowhere defined becomes such an import"
                }
                _ => "",
            };
            return Some(format!(
                "it imports `{name}` from `{module}`, which is no interface of the contract{hint}"
            ));
        };
        // Handles are dropped by a name that is no function of the interface.
        if name.starts_with("[resource-drop]") {
            return None;
        }
        let functions = &self.resolve.interfaces[interface].functions;
        let Some(function) = functions.get(name) else {
            let names: Vec<_> = functions.keys().map(String::as_str).collect();
            return Some(format!(
                "it imports `{name}` from `{module}`, which has no such function: it has {}",
                names.join(", ")
            ));
        };
        let wanted = self.core(AbiVariant::GuestImport, function);
        (*found != wanted).then(|| {
            format!(
                "it imports `{name}` from `{module}` as {}, which is {}",
                shown(found),
                shown(&wanted)
            )
        })
    }

    fn interface(&self, module: &str) -> Option<InterfaceId> {
        let mut imports = self.resolve.worlds[self.world].imports.iter();
        imports.find_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } if self.resolve.name_world_key(key) == module => {
                Some(*id)
            }
            _ => None,
        })
    }

    fn other_version_in(&self, resolve: &Resolve) -> Option<String> {
        let names: Vec<_> = resolve
            .packages
            .iter()
            .map(|(_, package)| package.name.to_string())
            .collect();
        // A package's name and an interface's are alike from here on.
        let names: Vec<_> = names
            .iter()
            .map(|name| name.replacen('@', "/types@", 1))
            .collect();
        other_version(names.iter().map(String::as_str))
    }
}

/// That a guest was built for a version of the contract that this host does not have, by the names of what
/// it imports.
pub fn other_version<'a>(mut imports: impl Iterator<Item = &'a str>) -> Option<String> {
    let ours = own_version();
    let fits = |version: &str| match (minor(version), minor(ours)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => false,
    };
    let theirs = imports.find_map(|import| {
        let (interface, version) = import.split_once('@')?;
        let package = interface.split('/').next()?;
        (package == PACKAGE && !fits(version)).then_some(version)
    })?;
    Some(format!(
        "it was built for the contract {PACKAGE}@{theirs}, and this host has {PACKAGE}@{ours}: {REBUILD}"
    ))
}

/// The version of the contract that this host has.
fn own_version() -> &'static str {
    let (_, text) = CONTRACT[CONTRACT.len() - 1];
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("package endpointd:rpc@"));
    line.map_or("", |version| version.trim_end_matches(';'))
}

/// What must be equal for two versions to fit: before 1.0 the minor number too, as in Cargo.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    match (numbers.next()??, numbers.next()??) {
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

/// What a core module imports and exports: functions by the number of their type, which a file may name a
/// million times.
#[derive(Default)]
struct Surface<'a> {
    types: Vec<FuncType>,
    imports: Vec<(&'a str, &'a str, u32)>,
    exports: BTreeMap<&'a str, u32>,
    exports_memory: bool,
}

impl<'a> Surface<'a> {
    /// `None` if it cannot be read, or has more types than any compiler makes.
    fn of(module: &'a [u8]) -> Option<Self> {
        let mut surface = Self::default();
        let mut functions = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for one in group.ok()?.into_types() {
                            if surface.types.len() == MAX_TYPES {
                                return None;
                            }
                            surface.types.push(match one.composite_type.inner {
                                CompositeInnerType::Func(function) => function,
                                _ => core_type(&[], &[]),
                            });
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.ok()?;
                        if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import.ty {
                            functions.push(index);
                            surface.imports.push((import.module, import.name, index));
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for index in section {
                        functions.push(index.ok()?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.ok()?;
                        let is_memory = ["memory", "cm32p2_memory"].contains(&export.name);
                        match export.kind {
                            ExternalKind::Memory => surface.exports_memory |= is_memory,
                            ExternalKind::Func | ExternalKind::FuncExact => {
                                if let Some(index) = functions.get(export.index as usize) {
                                    surface.exports.insert(export.name, *index);
                                }
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(surface)
    }

    /// `None` where the file names a type that it does not have.
    fn signature(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize)
    }

    /// What is wrong with an export, which may have any of `names`.
    fn misfit_export(&self, names: &[&str], wanted: &FuncType) -> Option<String> {
        let wanted_text = shown(wanted);
        let name = names.first()?;
        let found = names.iter().find_map(|name| self.exports.get(*name));
        match found.and_then(|index| self.signature(*index)) {
            None => Some(format!(
                "it does not export the function `{name}`, {wanted_text}"
            )),
            Some(found) if found != wanted => Some(format!(
                "its `{name}` is {}, and should be {wanted_text}",
                shown(found)
            )),
            Some(_) => None,
        }
    }
}

fn core_type(params: &[ValType], results: &[ValType]) -> FuncType {
    FuncType::new(params.iter().copied(), results.iter().copied())
}

fn core_value(value: &WasmType) -> ValType {
    match value {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    }
}

/// As WebAssembly's text has it: `(func (param i32 i32) (result i32))`.
fn shown(signature: &FuncType) -> String {
    let mut text = "(func".to_owned();
    for (what, values) in [
        ("param", signature.params()),
        ("result", signature.results()),
    ] {
        if !values.is_empty() {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            let _ = write!(text, " ({what} {})", values.join(" "));
        }
    }
    text + ")"
}

/// As the contract's own text has it.
fn spelled(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<_> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, name_of(resolve, param.ty)))
        .collect();
    let mut text = format!("{}: func({})", function.name, params.join(", "));
    if let Some(result) = function.result {
        let _ = write!(text, " -> {}", name_of(resolve, result));
    }
    text
}

/// A type by its name if it has one.
fn name_of(resolve: &Resolve, one: Type) -> String {
    let optional = |one: &Option<Type>| one.map_or("_".to_owned(), |one| name_of(resolve, one));
    let Type::Id(id) = one else {
        return format!("{one:?}").to_lowercase();
    };
    let definition = &resolve.types[id];
    if let Some(name) = &definition.name {
        return name.clone();
    }
    match &definition.kind {
        TypeDefKind::Option(inner) => format!("option<{}>", name_of(resolve, *inner)),
        TypeDefKind::List(inner) => format!("list<{}>", name_of(resolve, *inner)),
        TypeDefKind::Result(result) => {
            format!(
                "result<{}, {}>",
                optional(&result.ok),
                optional(&result.err)
            )
        }
        other => other.as_str().to_owned(),
    }
}

/// What a function takes and gives, in order.
fn signature(function: &Function) -> Vec<(String, Type)> {
    let params = function
        .params
        .iter()
        .map(|param| (format!("its `{}`", param.name), param.ty));
    params
        .chain(
            function
                .result
                .map(|result| ("its result".to_owned(), result)),
        )
        .collect()
}

/// A type, and what defines it.
type Defined<'a> = (&'a Resolve, Type);

/// The first place where two signatures are not alike.
fn difference(
    (found, has): (&Resolve, &[(String, Type)]),
    (contract, wanted): (&Resolve, &[(String, Type)]),
) -> Option<String> {
    if has.len() != wanted.len() {
        return Some("it takes or gives another number of values".to_owned());
    }
    let pairs = has.iter().zip(wanted);
    pairs
        .map(|((_, has), (place, wanted))| (place, (found, *has), (contract, *wanted)))
        .find_map(|(place, has, wanted)| type_difference(place, has, wanted))
}

fn type_difference(place: &str, has: Defined<'_>, wanted: Defined<'_>) -> Option<String> {
    let (found, has) = unaliased(has);
    let (contract, wanted) = unaliased(wanted);
    let other = || {
        let (has, wanted) = (name_of(found, has), name_of(contract, wanted));
        Some(format!("{place} is {has}, and should be {wanted}"))
    };
    let (Type::Id(has_id), Type::Id(wanted_id)) = (has, wanted) else {
        return if has == wanted { None } else { other() };
    };
    let inner = |place: &str, has: Type, wanted: Type| {
        type_difference(place, (found, has), (contract, wanted))
    };
    match (&found.types[has_id].kind, &contract.types[wanted_id].kind) {
        (TypeDefKind::Option(has), TypeDefKind::Option(wanted))
        | (TypeDefKind::List(has), TypeDefKind::List(wanted)) => inner(place, *has, *wanted),
        (TypeDefKind::Result(has), TypeDefKind::Result(wanted)) => {
            let both = [
                ("success", has.ok, wanted.ok),
                ("error", has.err, wanted.err),
            ];
            both.into_iter()
                .find_map(|(side, has, wanted)| match (has, wanted) {
                    (Some(has), Some(wanted)) => inner(&format!("{place}'s {side}"), has, wanted),
                    (None, None) => None,
                    _ => other(),
                })
        }
        (TypeDefKind::Record(has), TypeDefKind::Record(wanted)) => {
            let name_of_it = name_of(contract, Type::Id(wanted_id));
            let fields = wanted.fields.iter().enumerate().find_map(|(at, field)| {
                let name = &field.name;
                match has.fields.get(at) {
                    Some(own) if own.name == *name => inner(
                        &format!("the field `{name}` of its `{name_of_it}`"),
                        own.ty,
                        field.ty,
                    ),
                    _ => Some(format!(
                        "field {} of its `{name_of_it}` should be `{name}: {}`",
                        at + 1,
                        name_of(contract, field.ty)
                    )),
                }
            });
            let more = || {
                let extra = has.fields.get(wanted.fields.len())?;
                Some(format!(
                    "its `{name_of_it}` has the field `{}` more",
                    extra.name
                ))
            };
            fields.or_else(more)
        }
        _ => other(),
    }
}

/// What an alias stands for.
fn unaliased((resolve, mut one): Defined<'_>) -> Defined<'_> {
    while let Type::Id(id) = one
        && let TypeDefKind::Type(aliased) = resolve.types[id].kind
    {
        one = aliased;
    }
    (resolve, one)
}

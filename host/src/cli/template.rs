//! The files of a new project.

use std::io;
use std::path::Path;

use super::toolchain::Language;

/// Language, name in the project, content.
static FILES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/template_files.rs"));

/// Writes a project called `name` into `folder`, which must not be there or be empty.
pub fn write(language: Language, name: &str, folder: &Path) -> io::Result<()> {
    let snake = name.replace('-', "_");
    for (_, path, content) in FILES.iter().filter(|(of, ..)| *of == language.name()) {
        let path = path
            .replace("__name__", name)
            .replace("__name_snake__", &snake);
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let content = content
            .replace("{{name}}", name)
            .replace("{{name_snake}}", &snake);
        std::fs::write(&path, content)?;
        if path.extension().is_some_and(|extension| extension == "sh") {
            make_runnable(&path)?;
        }
    }
    Ok(())
}

fn make_runnable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}

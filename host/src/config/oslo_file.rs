//! Reads OpenStack's configuration files: sections, `name = value`, and `$name` inside of values
//! (oslo_config/iniparser.py; oslo_config/cfg.py: `_Namespace`, `ConfigOpts._substitute`).
//!
//! Upstream knows every option of its program, with its default. Here only what the files set is
//! known: a `$name` that none of them sets is refused.

use std::collections::BTreeSet;
use std::fmt;

/// The one group whose name is not lowercased: `[default]` is another group.
const DEFAULT: &str = "DEFAULT";

/// More than anybody writes, and few enough that values which multiply each other stay small.
const MAX_REFERENCES: usize = 100;

/// The merged content of one or more files.
#[derive(Debug, Default)]
pub(super) struct OsloFile {
    /// In the order they were read in: the last one of an option wins.
    settings: Vec<Setting>,
}

/// A value, and where it was set.
struct Setting {
    group: String,
    option: String,
    text: String,
    /// `FILE line N`, for messages.
    place: String,
}

/// Never shows the value, which may be a password.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// Why a file was refused, in words for its author. They never repeat a value, nor a name that may
/// be a part of one.
#[derive(Debug)]
pub struct InvalidOsloFile(String);

impl fmt::Display for InvalidOsloFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidOsloFile {}

impl OsloFile {
    /// Adds a file's text; what it sets wins over what was there. Errors call the file `origin`.
    pub(super) fn read(&mut self, origin: &str, text: &str) -> Result<(), InvalidOsloFile> {
        self.settings.extend(parse(origin, text)?);
        Ok(())
    }

    /// The value of an option, its `$name`s replaced; None where no file sets it.
    pub(super) fn get(&self, group: &str, option: &str) -> Result<Option<String>, InvalidOsloFile> {
        let mut left = MAX_REFERENCES;
        let found = self.setting(&normalized(group), option);
        found
            .map(|setting| self.replaced(setting, &mut left))
            .transpose()
    }

    /// The options that a group sets, by name, in order.
    pub(super) fn options<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let group = normalized(group);
        let set = self.settings.iter().filter(|set| set.group == group);
        let options: BTreeSet<_> = set.map(|set| set.option.as_str()).collect();
        options.into_iter()
    }

    /// Where an option was set, for messages: `FILE line N`.
    pub(super) fn origin_of(&self, group: &str, option: &str) -> Option<String> {
        Some(self.setting(&normalized(group), option)?.place.clone())
    }

    fn setting(&self, group: &str, option: &str) -> Option<&Setting> {
        let mut settings = self.settings.iter();
        settings.rfind(|setting| setting.group == group && setting.option == option)
    }

    /// `left` is how many more references may be followed.
    fn replaced(&self, setting: &Setting, left: &mut usize) -> Result<String, InvalidOsloFile> {
        let refused = |why: &str| {
            let (place, option, group) = (&setting.place, &setting.option, &setting.group);
            Err(InvalidOsloFile(format!(
                "{place}: `{option}` of [{group}] {why}"
            )))
        };
        // Before anything else, as upstream has it: `$\$x` is a dollar and then the value of x.
        let text = setting.text.replace("\\$", "$$");
        let mut value = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            value.push_str(before);
            let Some((name, after)) = reference(after) else {
                value.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
                continue;
            };
            rest = after;
            let Some(referred) = self.referred(&setting.group, name) else {
                return refused(
                    "has a `$` before a name that no file sets; endpointd knows no defaults of \
                     other programs, and a `$` that is meant as such is written `$$`",
                );
            };
            if *left == 0 {
                return refused("leads in a circle with `$`, or to very many options");
            }
            *left -= 1;
            value.push_str(&self.replaced(referred, left)?);
        }
        value.push_str(rest);
        Ok(value)
    }

    /// What `$name` means inside of a group.
    fn referred(&self, group: &str, name: &str) -> Option<&Setting> {
        match name.split_once('.') {
            // To upstream that is no group: its options are referred to without one.
            Some((DEFAULT, _)) => None,
            Some((group, option)) => self.setting(group, option),
            None => {
                let own = self.setting(group, name);
                own.or_else(|| self.setting(DEFAULT, name))
            }
        }
    }
}

fn parse(origin: &str, text: &str) -> Result<Vec<Setting>, InvalidOsloFile> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = None;
    let mut continues = false;
    for (number, line) in (1..).zip(lines(text)) {
        let place = format!("{origin} line {number}");
        let refused = |why| Err(InvalidOsloFile(format!("{place}: {why}")));
        let line = line.trim_end_matches(is_space);
        if line.starts_with([' ', '\t']) {
            let Some(above) = settings.last_mut().filter(|_| continues) else {
                return refused("an indented line, and no value right above that it continues");
            };
            above.text.push('\n');
            above.text.push_str(line.trim_start_matches(is_space));
            continue;
        }
        continues = false;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            match name.strip_suffix(']') {
                None => return refused("a section that does not end with `]`"),
                Some("") => return refused("a section without a name"),
                name => section = name,
            }
            continue;
        }
        let Some((option, value)) = line.split_once(['=', ':']) else {
            return refused("neither `=` nor `:`; a line that continues a value is indented");
        };
        let option = option.trim_matches(is_space);
        let Some(section) = section else {
            return refused("an option before the first [section]");
        };
        if option.is_empty() {
            return refused("no name before `=` or `:`");
        }
        settings.push(Setting {
            group: normalized(section),
            option: option.to_owned(),
            text: unquoted(value.trim_matches(is_space)).to_owned(),
            place,
        });
        continues = true;
    }
    Ok(settings)
}

/// Python's: a carriage return alone ends a line too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What Python strips, which is a little more than Unicode's white space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Without one pair of quotes around all of it, whatever stands between them.
fn unquoted(value: &str) -> &str {
    let inside = |quote| match value.strip_prefix(quote)? {
        // To upstream a quote alone is also its own end.
        "" => Some(""),
        rest => rest.strip_suffix(quote),
    };
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// The name that follows a `$`, with or without braces, and the text after it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let text = braced.unwrap_or(text);
    let in_name = |c: char| matches!(c, '_' | '.') || c.is_ascii_alphanumeric();
    let (name, after) = text.split_at(text.find(|c| !in_name(c)).unwrap_or(text.len()));
    if !name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) {
        return None;
    }
    match braced {
        Some(_) => Some((name, after.strip_prefix('}')?)),
        None => Some((name, after)),
    }
}

fn normalized(group: &str) -> String {
    match group {
        DEFAULT => group.to_owned(),
        _ => group.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> OsloFile {
        let mut file = OsloFile::default();
        file.read("a.conf", text).expect("the file is right");
        file
    }

    /// What `a` of group `g` is in `text`.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let value = file(text).get("g", "a").expect("the value is right");
        assert_eq!(value.as_deref(), Some(expected), "{text:?}");
    }

    /// `expected` is the error's beginning; it never has `hidden` in it.
    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let mut file = OsloFile::default();
        let value = file.read("a.conf", text).and_then(|()| file.get("g", "a"));
        let error = value.expect_err("the file is wrong");
        assert!(error.to_string().starts_with(expected), "{text:?}: {error}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }

    #[test]
    fn the_first_of_both_separators_ends_the_name() {
        check("[g]\na=b:c", "b:c");
        check("[g]\na : b = c ", "b = c");
        check("[g]\na =", "");
    }

    #[test]
    fn a_comment_is_a_line_of_its_own() {
        check("# b\n[g]\n;a = 1\na = b # c ; d\n#a = 2", "b # c ; d");
    }

    #[test]
    fn indented_lines_continue_a_value_whatever_they_look_like() {
        check("[g]\na = b\n  # c\n\t[d]\n e = f  \n", "b\n# c\n[d]\ne = f");
        check("[g]\na =\n b", "\nb");
    }

    #[test]
    fn one_pair_of_quotes_goes_from_the_first_line() {
        check("[g]\na = ' b '", " b ");
        check("[g]\na = \"b\" \"c\"", "b\" \"c");
        check("[g]\na = \"b'", "\"b'");
        check("[g]\na = '", "");
        check("[g]\na = 'b'\n 'c'", "b\n'c'");
    }

    #[test]
    fn lines_end_and_are_stripped_where_python_has_it() {
        check("[g]\r\na=b\r\n c\r\n", "b\nc");
        check("[g]\ra=b\r\ra=c", "c");
        check("[g]\u{a0}\n\u{a0}a\x1c=\x1fb\u{2028}", "b");
    }

    #[test]
    fn groups_have_no_case_but_default_and_options_do() {
        check("[g]\na=1\n[h]\na=2\n[G]\na=3", "3");
        let file = file("[default]\na=1\n[Default]\nb-c=2\n[DEFAULT]\nA=3\n[ g ]\na=4");
        assert!(file.options("DEFAULT").eq(["A"]));
        assert!(file.options("default").eq(["a", "b-c"]));
        assert!(file.options("g").next().is_none());
        assert!(file.get("DEFAULT", "a").expect("fine").is_none());
        assert!(file.get("default", "b_c").expect("fine").is_none());
    }

    #[test]
    fn the_last_file_wins_and_its_values_are_what_others_refer_to() {
        let mut file = file("[g]\na=$b\nb=1");
        file.read("b.conf", "\n[G]\nb=2").expect("fine");
        assert_eq!(file.get("g", "a").expect("fine").as_deref(), Some("2"));
        assert_eq!(file.origin_of("G", "b").as_deref(), Some("b.conf line 3"));
        assert_eq!(file.origin_of("g", "c"), None);
    }

    #[test]
    fn what_is_no_setting_is_refused_with_its_line() {
        check_refused("[g]\n\n[hidden", "a.conf line 3: a section that does");
        check_refused("[g] # hidden", "a.conf line 1: a section that does");
        check_refused("[]", "a.conf line 1: a section without");
        check_refused("[g]\r\nhidden", "a.conf line 2: neither");
        check_refused("[g]\n = hidden", "a.conf line 2: an indented line");
        check_refused("[g]\n= hidden", "a.conf line 2: no name");
        check_refused("# c\nhidden = b", "a.conf line 2: an option before");
        for above in ["", "a=b\n\n", "a=b\n#\n", "a=b\n[h]\n"] {
            let line = above.lines().count() + 2;
            let expected = format!("a.conf line {line}: an indented line");
            check_refused(&format!("[g]\n{above} hidden"), &expected);
        }
    }

    #[test]
    fn a_reference_means_its_own_group_and_then_default() {
        let default = "[DEFAULT]\nb=1\nc=2\nd=$c\n[h]\nc=3\ne=$c\n[g]\nc=4\n";
        check(&format!("{default}a=$b$c$d"), "142");
        check(&format!("{default}a=${{h.e}}.$h.c"), "3.3");
        check(&format!("{default}a=${{b}}c $b-c\n  $b"), "1c 1-c\n1");
    }

    #[test]
    fn a_dollar_that_begins_no_reference_stays() {
        check("[g]\na=$$b \\$b $1 $ ${b ${ b} $", "$b $b $1 $ ${b ${ b} $");
        check("[g]\na=$$$b $\\$b\nb=1", "$1 $1");
        check("[g]\na=$b\nb=$$b", "$b");
    }

    #[test]
    fn references_that_lead_nowhere_are_refused() {
        let unknown = "a.conf line 2: `a` of [g] has a `$` before a name that no file sets";
        for name in "hidden h.hidden b.hidden DEFAULT.b B G.b b.".split(' ') {
            check_refused(&format!("[g]\na=${name}\nb=1\n[DEFAULT]\nb=1"), unknown);
        }
        let circle = "a.conf line 2: `a` of [g] leads in a circle";
        check_refused("[g]\na=$a\n[DEFAULT]\na=1", circle);
        check_refused("[g]\na=$b\nb=$g.a", circle);
        let wide = format!("[g]\na={}\nb=1", "$b".repeat(MAX_REFERENCES));
        check(&wide, &"1".repeat(MAX_REFERENCES));
        check_refused(&wide.replacen('$', "$b$", 1), circle);
    }

    #[test]
    fn no_form_of_printing_shows_a_value() {
        assert!(!format!("{:?}", file("[g]\na=hidden")).contains("hidden"));
    }
}

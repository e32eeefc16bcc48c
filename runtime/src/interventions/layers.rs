//! A plan's selectors of layers, evaluated against the names that a network gives its layers.
//!
//! A name is a path: `down.1.attn.0.self`. The first word is the side (`down`, `mid`, `up`), the last
//! may say what kind of layer it is (`self`, `cross`, `ff`).

use guide_compiler::plan::{LayerTerm, Layers, layer_kind};

use crate::error::{ErrorKind, Result, RuntimeError};

/// A set of layers, by their places in the network's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSet(Vec<bool>);

impl LayerSet {
    /// Whether the layer at this place is in the set.
    pub fn holds(&self, layer: usize) -> bool {
        self.0.get(layer).copied().unwrap_or(false)
    }

    /// The names of its layers, in order.
    pub fn names<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        names
            .iter()
            .enumerate()
            .filter(|(place, _)| self.holds(*place))
            .map(|(_, name)| name.as_str())
            .collect()
    }

    /// The layers of a kind (`self`, `cross`, …) among them; `None` where there are none.
    pub fn only(self, kind: &str, names: &[String]) -> Option<Self> {
        self.those(names, |name| layer_kind(name) == kind)
    }

    /// The residual blocks among them; `None` where there are none.
    pub fn only_resnets(self, names: &[String]) -> Option<Self> {
        self.those(names, |name| name.split('.').any(|word| word == "resnet"))
    }

    fn those(mut self, names: &[String], wanted: impl Fn(&str) -> bool) -> Option<Self> {
        for (held, name) in self.0.iter_mut().zip(names) {
            *held &= wanted(name);
        }
        self.0.contains(&true).then_some(self)
    }
}

/// Evaluates a selector against a network's layers, terms in order.
///
/// # Errors
/// `NoSuchLayers` where a term matches nothing (listing near names), where the network has no numbered
/// blocks, or where nothing is left.
pub fn select(layers: &Layers, names: &[String]) -> Result<LayerSet> {
    if let Some(term) = layers.missing(names) {
        return Err(nothing(term, names));
    }
    let set: Vec<bool> = names.iter().map(|name| layers.holds(name)).collect();
    if !set.contains(&true) {
        return Err(RuntimeError::new(
            ErrorKind::NoSuchLayers,
            format!("the layers `{layers}` are none"),
        )
        .help("take away less, or add layers"));
    }
    Ok(LayerSet(set))
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Why a term matches nothing, with the nearest names.
fn nothing(term: &LayerTerm, names: &[String]) -> RuntimeError {
    let shown = term.to_string();
    let error = |message: String| RuntimeError::new(ErrorKind::NoSuchLayers, message);
    match term {
        LayerTerm::Blocks(_) => error(format!(
            "the model has no numbered transformer blocks, so `{shown}` names nothing"
        ))
        .help("name the layers of a UNet by their side or path: `mid`, `up`, `\"down.1.attn.0\"`"),
        LayerTerm::Named(name) => {
            let near = near(name, names);
            let listed: Vec<String> = near.iter().map(|name| format!("`\"{name}\"`")).collect();
            error(format!("the model has no layer `{shown}`"))
                .help(format!("write one of {}", listed.join(", ")))
        }
        _ => error(format!("the model has no layers `{shown}`"))
            .help(format!("it has {}", sides(names))),
    }
}

/// The sides that a model has.
fn sides(names: &[String]) -> String {
    let mut sides: Vec<String> = Vec::new();
    for name in names {
        let side = format!("`{}`", first(name));
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    if sides.is_empty() {
        "no named layers".into()
    } else {
        sides.join(", ")
    }
}

/// Up to five names and prefixes of names that are nearest by letters, nearest first.
fn near(name: &str, names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for full in names {
        for (end, _) in full.match_indices('.').chain([(full.len(), "")]) {
            let prefix = &full[..end];
            if !all.iter().any(|one| one == prefix) {
                all.push(prefix.to_owned());
            }
        }
    }
    all.sort_by_cached_key(|one| strsim::levenshtein(name, one));
    all.truncate(5);
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        [
            "down.0.resnet.0",
            "down.0.attn.0.self",
            "down.0.attn.0.cross",
            "mid.attn.0.self",
            "mid.attn.0.cross",
            "up.1.attn.10.self",
            "up.1.attn.1.self",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn chosen(terms: Vec<(bool, LayerTerm)>) -> Vec<String> {
        let names = names();
        select(&Layers { terms }, &names)
            .unwrap()
            .names(&names)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn refused(terms: Vec<(bool, LayerTerm)>) -> String {
        let error = select(&Layers { terms }, &names()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoSuchLayers);
        format!("{}\n{}", error.message, error.help.unwrap())
    }

    #[test]
    fn terms_are_added_and_taken_away_in_order() {
        assert_eq!(
            chosen(vec![(true, LayerTerm::Mid)]),
            ["mid.attn.0.self", "mid.attn.0.cross"]
        );
        assert_eq!(
            chosen(vec![(true, LayerTerm::Mid), (false, LayerTerm::Cross)]),
            ["mid.attn.0.self"]
        );
        assert_eq!(
            chosen(vec![
                (true, LayerTerm::All),
                (false, LayerTerm::Up),
                (false, LayerTerm::SelfAttention)
            ]),
            ["down.0.resnet.0", "down.0.attn.0.cross", "mid.attn.0.cross"]
        );
        let up_but_cross = Layers {
            terms: vec![(true, LayerTerm::Up), (false, LayerTerm::Cross)],
        };
        assert_eq!(
            chosen(vec![
                (true, LayerTerm::Cross),
                (true, LayerTerm::Set(up_but_cross))
            ]),
            [
                "down.0.attn.0.cross",
                "mid.attn.0.cross",
                "up.1.attn.10.self",
                "up.1.attn.1.self"
            ]
        );
    }

    #[test]
    fn a_name_is_a_layer_or_all_below_it_but_no_longer_word() {
        assert_eq!(
            chosen(vec![(true, LayerTerm::Named("up.1.attn.1".into()))]),
            ["up.1.attn.1.self"]
        );
        assert_eq!(
            chosen(vec![(true, LayerTerm::Named("down.0.attn.0.self".into()))]),
            ["down.0.attn.0.self"]
        );
    }

    #[test]
    fn what_matches_nothing_is_refused_with_near_names() {
        let text = refused(vec![(true, LayerTerm::Named("up.1.attm.1".into()))]);
        assert!(
            text.starts_with(
                "the model has no layer `\"up.1.attm.1\"`\nwrite one of `\"up.1.attn.1\"`"
            ),
            "{text}"
        );
        let text = refused(vec![(true, LayerTerm::Blocks(vec![7, 8]))]);
        assert!(
            text.starts_with(
                "the model has no numbered transformer blocks, so `[7, 8]` names nothing"
            ),
            "{text}"
        );
        let text = refused(vec![(true, LayerTerm::Mid), (false, LayerTerm::Mid)]);
        assert!(
            text.starts_with("the layers `mid - mid` are none"),
            "{text}"
        );
    }
}

//! The tour and the programs that the reference data was made with parse.

use crate::dump::dump;
use crate::tree;

#[test]
fn the_tour_parses_to_these_trees() {
    insta::glob!("tour/*.guide", |path| {
        let text = std::fs::read_to_string(path).expect("a file of the tour");
        insta::assert_snapshot!(dump(&text, &tree(&text)));
    });
}

#[test]
fn programs_parse() {
    insta::glob!("programs/*.guide", |path| {
        let text = std::fs::read_to_string(path).expect("a program");
        let file = tree(&text);
        assert!(!file.items.is_empty());
        assert!(!file.docs.is_empty());
    });
}

//! How long the chains of operators are, counted before anything is parsed: a sum of 100,000 terms
//! is refused where its 256th operator stands, and costs no more than the reading of its tokens.
//!
//! A count here is never larger than the height of the tree would be, so nothing is refused that
//! the builder would take; what one chain hides inside another is left to the builder.

use crate::limits::MAX_LEVELS;

/// The chains that are open between one pair of brackets.
#[derive(Default)]
pub(crate) struct Chains {
    or: usize,
    and: usize,
    add: usize,
    multiply: usize,
    pipes: usize,
    indices: usize,
    else_ifs: usize,
}

impl Chains {
    /// Takes the next token between the brackets, with the one before it. Says whether its chain
    /// is now longer than a tree may be high.
    pub fn take(&mut self, word: &str, before: &str) -> bool {
        if word != "[" {
            self.indices = 0;
        }
        let chain = match word {
            "*" | "/" | "%" => &mut self.multiply,
            "+" | "-" => {
                self.multiply = 0;
                &mut self.add
            }
            "and" => {
                (self.add, self.multiply) = (0, 0);
                &mut self.and
            }
            "or" => {
                (self.and, self.add, self.multiply) = (0, 0, 0);
                &mut self.or
            }
            "|>" => {
                self.end_operators();
                &mut self.pipes
            }
            "[" => &mut self.indices,
            "if" if before == "else" => {
                self.end_expression();
                &mut self.else_ifs
            }
            "{" if before == "else" => {
                self.else_ifs = 0;
                return false;
            }
            "," => {
                self.end_statement();
                return false;
            }
            "=" | ":" | "=>" | "->" | "if" | "match" | "total" | "else" | "let" => {
                self.end_expression();
                return false;
            }
            "not" | "in" | ".." | "..=" | "==" | "!=" | "<" | "<=" | ">" | ">=" => {
                (self.add, self.multiply) = (0, 0);
                return false;
            }
            _ => return false,
        };
        *chain += 1;
        // A chain of n operators is n + 1 levels high.
        *chain >= MAX_LEVELS
    }

    fn end_operators(&mut self) {
        (self.or, self.and, self.add, self.multiply) = (0, 0, 0, 0);
    }

    fn end_expression(&mut self) {
        self.end_operators();
        self.pipes = 0;
    }

    /// After a line break that ends a statement, nothing goes on.
    pub fn end_statement(&mut self) {
        *self = Self::default();
    }
}

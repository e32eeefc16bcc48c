//! A layout language: text with places where a line may break, and the machine that breaks them.
//!
//! After Wadler, "A prettier printer" (2003), with comments: a comment ends its line wherever it
//! stands, so everything around it is broken.

/// The longest line.
const WIDTH: usize = 100;
/// The blanks of one level.
const INDENT: usize = 4;

/// A piece of layout, and whether it cannot stand on one line.
#[derive(Debug)]
pub(super) struct Doc {
    node: Node,
    broken: bool,
}

#[derive(Debug)]
enum Node {
    Text(String),
    /// A blank, or a line break where the group is broken.
    Line,
    /// Nothing, or a line break where the group is broken.
    SoftLine,
    /// A line break in any case.
    HardLine,
    /// One empty line before what comes next.
    Blank,
    /// Text that stands only where the group is broken.
    IfBroken(&'static str),
    /// A comment, and whether it has a line of its own.
    Comment(String, bool),
    Indent(Box<Doc>),
    Group(Box<Doc>),
    Row(Vec<Doc>),
}

impl Doc {
    fn whole(node: Node) -> Doc {
        Doc {
            node,
            broken: false,
        }
    }

    pub fn text(text: impl Into<String>) -> Doc {
        Doc::whole(Node::Text(text.into()))
    }

    pub fn line() -> Doc {
        Doc::whole(Node::Line)
    }

    pub fn soft_line() -> Doc {
        Doc::whole(Node::SoftLine)
    }

    pub fn hard_line() -> Doc {
        Doc {
            node: Node::HardLine,
            broken: true,
        }
    }

    pub fn blank() -> Doc {
        Doc::whole(Node::Blank)
    }

    pub fn if_broken(text: &'static str) -> Doc {
        Doc::whole(Node::IfBroken(text))
    }

    pub fn comment(text: &str, own_line: bool) -> Doc {
        Doc {
            node: Node::Comment(text.to_owned(), own_line),
            broken: true,
        }
    }

    pub fn row(docs: Vec<Doc>) -> Doc {
        let broken = docs.iter().any(|doc| doc.broken);
        Doc {
            node: Node::Row(docs),
            broken,
        }
    }

    pub fn indent(doc: Doc) -> Doc {
        let broken = doc.broken;
        Doc {
            node: Node::Indent(Box::new(doc)),
            broken,
        }
    }

    /// A part that stands on one line if it fits there.
    pub fn group(doc: Doc) -> Doc {
        let broken = doc.broken;
        Doc {
            node: Node::Group(Box::new(doc)),
            broken,
        }
    }

    /// The same, broken in any case.
    pub fn broken(mut self) -> Doc {
        self.broken = true;
        self
    }
}

#[derive(Clone, Copy)]
struct Place<'d> {
    indent: usize,
    flat: bool,
    doc: &'d Doc,
}

/// The text of a layout.
pub(super) fn print(doc: &Doc) -> String {
    let mut printer = Printer::default();
    let mut stack = vec![Place {
        indent: 0,
        flat: false,
        doc,
    }];
    while let Some(place) = stack.pop() {
        let Place { indent, flat, doc } = place;
        match &doc.node {
            Node::Text(text) => printer.text(text),
            Node::Line if flat => printer.text(" "),
            Node::SoftLine if flat => {}
            Node::Line | Node::SoftLine | Node::HardLine => printer.line_break = Some(indent),
            Node::Blank => printer.blank = !printer.after_open,
            Node::IfBroken(text) if !flat => printer.text(text),
            Node::IfBroken(_) => {}
            Node::Comment(text, own_line) => printer.comment(text, *own_line, indent),
            Node::Indent(inner) => {
                stack.push(Place {
                    indent: indent + INDENT,
                    flat,
                    doc: inner,
                });
            }
            Node::Group(inner) => {
                let place = Place {
                    indent,
                    flat: true,
                    doc: inner,
                };
                let fits = flat || !doc.broken && printer.fits(place, &stack);
                stack.push(Place {
                    flat: fits,
                    ..place
                });
            }
            Node::Row(docs) => {
                stack.extend(docs.iter().rev().map(|doc| Place { indent, flat, doc }));
            }
        }
    }
    printer.out.push('\n');
    printer.out
}

#[derive(Default)]
struct Printer {
    out: String,
    column: usize,
    /// A line break that is due before the next text, with the indent after it.
    line_break: Option<usize>,
    /// An empty line is due with it.
    blank: bool,
    /// The last text ends in an opening bracket, or there is none.
    after_open: bool,
}

impl Printer {
    fn start(&mut self) {
        if let Some(indent) = self.line_break.take()
            && !self.out.is_empty()
        {
            let line = self.out.trim_end_matches(' ').len();
            self.out.truncate(line);
            self.out.push('\n');
            if self.blank {
                self.out.push('\n');
            }
            self.out.extend(std::iter::repeat_n(' ', indent));
            self.column = indent;
        }
        self.blank = false;
    }

    fn text(&mut self, text: &str) {
        // A blank before a line break is no blank.
        if text == " " && self.line_break.is_some() {
            return;
        }
        let text = if self.line_break.is_some() {
            text.trim_start()
        } else {
            text
        };
        self.start();
        self.out.push_str(text);
        self.column += text.chars().count();
        self.after_open = text.ends_with(['(', '[', '{']);
    }

    fn comment(&mut self, text: &str, own_line: bool, indent: usize) {
        if own_line {
            self.line_break = Some(indent);
        }
        let gap = self.line_break.is_none() && !self.out.is_empty();
        self.start();
        if gap {
            let line = self.out.trim_end_matches(' ').len();
            self.out.truncate(line);
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.after_open = false;
        self.line_break = Some(indent);
    }

    /// Whether a group, and what follows it up to the next line break, fits on the line.
    fn fits(&self, first: Place<'_>, rest: &[Place<'_>]) -> bool {
        let column = self.line_break.unwrap_or(self.column);
        let mut left = WIDTH.saturating_sub(column);
        let mut stack = vec![first];
        let mut rest = rest.iter().rev();
        while let Some(place) = stack.pop().or_else(|| rest.next().copied()) {
            let Place { indent, flat, doc } = place;
            let width = match &doc.node {
                Node::Text(text) => text.chars().count(),
                Node::Line if flat => 1,
                Node::Line | Node::SoftLine | Node::HardLine if !flat => return true,
                Node::HardLine | Node::Comment(..) => return true,
                Node::Line | Node::SoftLine | Node::Blank => 0,
                Node::IfBroken(text) if !flat => text.len(),
                Node::IfBroken(_) => 0,
                Node::Indent(inner) | Node::Group(inner) => {
                    stack.push(Place {
                        indent,
                        flat,
                        doc: inner,
                    });
                    0
                }
                Node::Row(docs) => {
                    stack.extend(docs.iter().rev().map(|doc| Place { indent, flat, doc }));
                    0
                }
            };
            if width > left {
                return false;
            }
            left -= width;
        }
        true
    }
}

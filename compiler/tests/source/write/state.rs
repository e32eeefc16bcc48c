//! Conversions, what is kept from tick to tick, and everything that is no tensor.

use super::{Age, SPACES, Writer};

impl Writer<'_> {
    /// A conversion of whatever there is.
    pub(super) fn converted(&mut self) {
        let to = SPACES[self.below(SPACES.len())];
        if self.below(2) == 0 {
            let d = self.direction();
            let name = self.bind(&format!("{to}({})", d.name));
            self.direct(&name, Some(to), d.age);
            return;
        }
        let p = self.prediction();
        let q = self.prediction_like(&p);
        let kept = self.below(3) == 0 && self.states.insert(p.name.clone());
        let (expr, age) = if kept {
            let expr = format!("{to}(prev({}, init: {}))", p.name, q.name);
            (expr, Age::Before)
        } else {
            (format!("{to}({})", p.name), p.age)
        };
        let name = self.bind(&expr);
        self.predict(&name, Some(to), age);
    }

    /// What a tensor was in the tick before.
    pub(super) fn kept(&mut self) {
        if self.below(2) == 0 {
            let d = self.direction();
            if self.states.insert(d.name.clone()) {
                let name = self.bind(&format!("prev({}, init: 0)", d.name));
                self.direct(&name, d.space, Age::Before);
            }
            return;
        }
        let p = self.prediction();
        let q = self.prediction_like(&p);
        if self.states.insert(p.name.clone()) {
            let name = self.bind(&format!("prev({}, init: {})", p.name, q.name));
            self.predict(&name, p.space, Age::Before);
        }
    }

    pub(super) fn new_scalar(&mut self) {
        let (a, b) = (self.scalar(), self.scalar());
        let (c, d) = (self.bool(), self.direction());
        let own = self.next_name();
        let pinned = d.space.is_some();
        let expr = match self.below(13) {
            0 => format!("{a} + {b}"),
            1 => format!("{a} - {b} * 0.5"),
            2 => format!("min({a}, {b})"),
            3 => format!("sin({a})"),
            4 => format!("abs({a}) / (1 + abs({b}))"),
            5 => format!("if {c} {{ {a} }} else {{ {b} }}"),
            6 => format!("0.5 * {a} + 0.5 * prev({own}, init: {b})"),
            7 => format!("sigmoid(max({a}, {b}))"),
            8 if pinned => {
                let e = self.direction_like(d.space);
                let e = e.map_or(d.name.clone(), |e| e.name);
                format!("sin(dot({}, {e}))", d.name)
            }
            9 if pinned => format!("1 / (1 + norm({}))", d.name),
            10 if pinned => format!("sin(std({}) + largest({}))", d.name, d.name),
            11 => match self.one_of(|w| &w.maps) {
                Some(m) => format!("sin(mean({m}) + norm({m}))"),
                None => return,
            },
            12 if pinned => format!("quantile({}, 0.3)", d.name),
            _ => return,
        };
        let name = self.bind(&expr);
        self.scalars.push(name);
    }

    /// A map, or a value for each channel.
    pub(super) fn new_map(&mut self) {
        let (d, w) = (self.direction(), self.scalar());
        if d.space.is_none() {
            return;
        }
        let m = self.one_of(|w| &w.maps);
        let expr = match (self.below(9), m) {
            (0, Some(m)) => format!("sin({m} + {w})"),
            (1, Some(m)) => format!("gaussian_blur({m}, 1)"),
            (2, Some(m)) => format!("where({m} >= 0.4, 1 - {m}, {w})"),
            (3, Some(m)) => format!("0.5 * ({m} >= 0.3) + 0.5 * {m}"),
            (4, _) => {
                let e = self.direction_like(d.space);
                let e = e.map_or(d.name.clone(), |e| e.name);
                format!("sin(dot({}, {e}, over: channels))", d.name)
            }
            (5, _) => {
                let name = self.bind(&format!("1 / (1 + std({}, over: space))", d.name));
                self.channels.push(name);
                return;
            }
            (6, _) => {
                let own = self.next_name();
                let now = format!("sin(mean({}, over: channels))", d.name);
                format!("0.5 * {now} + 0.5 * prev({own}, init: 0)")
            }
            _ => format!("1 / (1 + norm({}, over: channels))", d.name),
        };
        let name = self.bind(&expr);
        self.maps.push(name);
    }

    pub(super) fn new_bool(&mut self) {
        let (a, b) = (self.scalar(), self.scalar());
        let (c, d) = (self.bool(), self.bool());
        let own = self.next_name();
        let expr = match self.below(7) {
            0 => format!("{a} < {b}"),
            1 => format!("{a} >= {b}"),
            2 => format!("({c}) and ({d})"),
            3 => format!("({c}) or ({d})"),
            4 => format!("not ({c})"),
            5 => format!("prev({own}, init: false) or ({c})"),
            _ => "progress in 0.4..0.9".to_owned(),
        };
        let name = self.bind(&expr);
        self.bools.push(name);
    }
}

//! Predictions and directions: mixes, branches, filters, operators of the library.

use super::{Age, Writer};

/// Filters with their arguments after the first.
const FILTERS: [(&str, &str); 8] = [
    ("gaussian_blur", "1"),
    ("gaussian_blur", "0.5 + progress, taps: 5"),
    ("band", "level: 0, of: 2"),
    ("resample", "0.5"),
    ("fft_disk", "0.3"),
    ("fft_box", "0.25"),
    ("dct_highpass", "0.2"),
    ("highpass", "0.5"),
];

impl Writer<'_> {
    pub(super) fn new_prediction(&mut self) {
        let a = self.prediction();
        let b = self.prediction_like(&a);
        let (w, c) = (self.scalar(), self.bool());
        let (p, q) = (&a.name, &b.name);
        let (sum, now) = (a.age.sum(b.age), Some(Age::Now));
        let pinned = a.space.is_some();
        let (expr, age) = match self.below(12) {
            0 => (format!("{w} * {p} + (1 - {w}) * {q}"), sum),
            1 => (format!("blend({p}, {q}, {w})"), sum),
            2 => (format!("between({q}, {p}, share: {w})"), sum),
            3 => (
                format!("if {c} {{ {p} }} else {{ {q} }}"),
                Some(a.age.branch(b.age)),
            ),
            4 if pinned => {
                let own = self.next_name();
                self.states.insert(own.clone());
                let expr = format!("0.5 * {p} + 0.5 * prev({own}, init: {q})");
                (expr, a.age.sum(Age::Before))
            }
            5 if pinned => (format!("rescale({p}, like: {q}, phi: 0.4)"), now),
            6 if pinned => (format!("match_std({p}, {q})"), now),
            7 if pinned => (format!("clip({p}, -1, 0.5)"), now),
            8 if pinned => (format!("clip_quantile({p}, level: 0.7, least: 0.5)"), now),
            9 => match self.one_of(|w| &w.maps) {
                Some(m) => (format!("{m} * {p} + (1 - {m}) * {q}"), sum),
                None => return,
            },
            10 => match self.one_of(|w| &w.maps) {
                Some(m) => (
                    format!("where({m} >= 0.4, {p}, {q})"),
                    Some(a.age.branch(b.age)),
                ),
                None => return,
            },
            _ => match self.direction_like(a.space) {
                Some(d) => {
                    let sign = ["+", "-"][self.below(2)];
                    (format!("{p} {sign} {w} * {}", d.name), a.age.sum(d.age))
                }
                None => return,
            },
        };
        if let Some(age) = age {
            let name = self.bind(&expr);
            self.predict(&name, a.space, age);
        }
    }

    pub(super) fn new_direction(&mut self) {
        let a = self.direction();
        let Some(b) = self.direction_like(a.space) else {
            return;
        };
        let (w, c) = (self.scalar(), self.bool());
        let (d, e) = (&a.name, &b.name);
        let (sum, branch) = (a.age.sum(b.age), Some(a.age.branch(b.age)));
        let (own, moving) = (Some(a.age), a.age.sum(Age::Before));
        let pinned = a.space.is_some();
        let (expr, age) = match self.below(18) {
            0 => (format!("{d} + {w} * {e}"), sum),
            1 => (format!("{d} - {e} / 2"), sum),
            2 => (format!("-{d} * {w}"), own),
            3 => (format!("if {c} {{ {d} }} else {{ 0 }}"), own),
            4 => (format!("if {c} {{ {d} }} else {{ {e} }}"), branch),
            5 => (format!("during({d}, 0.2, 0.7)"), own),
            6 if pinned => (format!("{d} |> momentum({w}) |> limit_norm(2)"), moving),
            7 if pinned => (format!("sometimes({d}, now: {c})"), moving),
            8 if pinned => {
                let expr = format!("if {c} {{ momentum({d}, 0.5) }} else {{ {e} }}");
                (expr, moving.map(|age| age.branch(b.age)))
            }
            9 if pinned => (format!("limit_norm({d}, radius: 1)"), own),
            10 if pinned => (format!("reject({d}, from: {e})"), sum),
            11 if pinned => (format!("clip_pixels({d}, most: 0.5)"), own),
            12 if pinned => (format!("clip({d}, -0.5, 1)"), Some(Age::Now)),
            13 if pinned => (format!("unit({d}, over: channels)"), own),
            14 | 15 => match self.one_of(|w| &w.maps) {
                Some(m) => (format!("{m} * {d}"), own),
                None => return,
            },
            16 => match self.one_of(|w| &w.maps) {
                Some(m) => (format!("where({m} >= 0.4, {d}, {e})"), branch),
                None => return,
            },
            17 => match self.one_of(|w| &w.channels) {
                Some(k) => (format!("{k} * {d}"), own),
                None => return,
            },
            _ => return,
        };
        if let Some(age) = age {
            let name = self.bind(&expr);
            self.direct(&name, a.space, age);
        }
    }

    /// A filter, whose result is made in this tick.
    pub(super) fn filtered(&mut self) {
        let (name, rest) = FILTERS[self.below(FILTERS.len())];
        let of_direction = name == "highpass" || self.below(3) > 0;
        let of = if of_direction {
            self.direction()
        } else {
            self.prediction()
        };
        let filtered = self.bind(&format!("{name}({}, {rest})", of.name));
        match name {
            // A difference of the tensor and its coarse part.
            "highpass" => self.direct(&filtered, of.space, Age::Now),
            _ if of_direction => self.direct(&filtered, of.space, Age::Now),
            _ => self.predict(&filtered, of.space, Age::Now),
        }
    }

    /// The two parts of a direction, along a direction or a prediction.
    pub(super) fn parted(&mut self) {
        let d = self.direction();
        if d.space.is_none() {
            return;
        }
        let (onto, age) = if self.below(2) == 0 {
            let Some(e) = self.direction_like(d.space) else {
                return;
            };
            (e.name, e.age)
        } else {
            let like = self.predictions.iter().find(|p| p.space == d.space);
            let Some(p) = like.cloned() else { return };
            (p.name, Age::Now)
        };
        let over = ["all", "channels", "space"][self.below(3)];
        let Some(rest) = d.age.sum(age) else { return };
        self.count += 2;
        let (a, b) = (format!("n{}", self.count - 1), format!("n{}", self.count));
        let line = format!(
            "    let ({a}, {b}) = project({}, onto: {onto}, over: {over})\n",
            d.name
        );
        self.text.push_str(&line);
        self.direct(&a, d.space, age);
        self.direct(&b, d.space, rest);
    }
}

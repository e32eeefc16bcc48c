//! For which samples something is needed: truth functions of what the run decides, kept canonical
//! (Bryant 1986), so that equal conditions are one number.

use std::collections::{BTreeMap, HashMap};

use super::expr::ExprId;

/// A truth function: a row of [`Guards`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuardId(u32);

/// Holds for no sample.
pub const NEVER: GuardId = GuardId(0);
/// Holds for every sample.
pub const ALWAYS: GuardId = GuardId(1);

/// A function with more ways to hold than this is widened to [`ALWAYS`].
const MOST_WAYS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Choice {
    variable: ExprId,
    otherwise: GuardId,
    then: GuardId,
}

/// All truth functions of a plan.
#[derive(Debug)]
pub struct Guards {
    rows: Vec<Choice>,
    index: HashMap<Choice, GuardId>,
    memo: HashMap<(GuardId, GuardId), GuardId>,
    negations: HashMap<GuardId, GuardId>,
}

/// A way to hold: variables and whether each must hold.
pub type Way = Vec<(ExprId, bool)>;

impl Guards {
    /// Only [`NEVER`] and [`ALWAYS`].
    pub fn new() -> Self {
        let end = Choice {
            variable: ExprId::LAST,
            otherwise: NEVER,
            then: NEVER,
        };
        let always = Choice {
            variable: ExprId::LAST,
            otherwise: ALWAYS,
            then: ALWAYS,
        };
        Self {
            rows: vec![end, always],
            index: HashMap::new(),
            memo: HashMap::new(),
            negations: HashMap::new(),
        }
    }

    fn row(&self, id: GuardId) -> Choice {
        // INVARIANT: ids are made by `choice` of the same table.
        self.rows[id.0 as usize]
    }

    fn choice(&mut self, variable: ExprId, otherwise: GuardId, then: GuardId) -> GuardId {
        if otherwise == then {
            return then;
        }
        let row = Choice {
            variable,
            otherwise,
            then,
        };
        if let Some(found) = self.index.get(&row) {
            return *found;
        }
        let id = GuardId(self.rows.len() as u32);
        self.rows.push(row);
        self.index.insert(row, id);
        id
    }

    /// Holds where this truth value does.
    pub fn variable(&mut self, variable: ExprId) -> GuardId {
        self.choice(variable, NEVER, ALWAYS)
    }

    /// Holds where both do.
    pub fn and(&mut self, a: GuardId, b: GuardId) -> GuardId {
        match (a, b) {
            (NEVER, _) | (_, NEVER) => return NEVER,
            (ALWAYS, other) | (other, ALWAYS) => return other,
            _ if a == b => return a,
            _ => {}
        }
        let key = (a.min(b), a.max(b));
        if let Some(found) = self.memo.get(&key) {
            return *found;
        }
        let (x, y) = (self.row(a), self.row(b));
        let variable = x.variable.min(y.variable);
        let part = |row: Choice, whole: GuardId, then: bool| match row.variable == variable {
            true if then => row.then,
            true => row.otherwise,
            false => whole,
        };
        let otherwise = self.and(part(x, a, false), part(y, b, false));
        let then = self.and(part(x, a, true), part(y, b, true));
        let result = self.choice(variable, otherwise, then);
        self.memo.insert(key, result);
        result
    }

    /// Holds where it does not.
    pub fn not(&mut self, a: GuardId) -> GuardId {
        match a {
            NEVER => return ALWAYS,
            ALWAYS => return NEVER,
            _ => {}
        }
        if let Some(found) = self.negations.get(&a) {
            return *found;
        }
        let row = self.row(a);
        let (otherwise, then) = (self.not(row.otherwise), self.not(row.then));
        let result = self.choice(row.variable, otherwise, then);
        self.negations.insert(a, result);
        self.negations.insert(result, a);
        result
    }

    /// Holds where either does.
    pub fn or(&mut self, a: GuardId, b: GuardId) -> GuardId {
        let (a, b) = (self.not(a), self.not(b));
        let neither = self.and(a, b);
        self.not(neither)
    }

    /// Whether `b` holds wherever `a` does.
    pub fn implies(&mut self, a: GuardId, b: GuardId) -> bool {
        self.and(a, b) == a
    }

    /// The function itself, or [`ALWAYS`] where it has too many ways to hold to be written down.
    pub fn widened(&self, a: GuardId) -> GuardId {
        let mut left = MOST_WAYS;
        if self.count(a, &mut left) { a } else { ALWAYS }
    }

    fn count(&self, a: GuardId, left: &mut usize) -> bool {
        if a == NEVER {
            return true;
        }
        if a == ALWAYS {
            *left = left.saturating_sub(1);
            return *left > 0;
        }
        let row = self.row(a);
        self.count(row.otherwise, left) && self.count(row.then, left)
    }

    /// The ways to hold, each as short as it can be; one empty way for [`ALWAYS`].
    pub fn ways(&mut self, a: GuardId) -> Vec<Way> {
        let mut paths = Vec::new();
        self.paths(a, &mut Vec::new(), &mut paths);
        for path in &mut paths {
            let mut at = 0;
            while at < path.len() {
                let mut shorter = path.clone();
                shorter.remove(at);
                let cube = self.cube(&shorter);
                if self.implies(cube, a) {
                    *path = shorter;
                } else {
                    at += 1;
                }
            }
        }
        let mut ways: Vec<Way> = Vec::new();
        for path in paths {
            if !ways.contains(&path) {
                ways.push(path);
            }
        }
        let mut at = 0;
        while at < ways.len() {
            let mut others = NEVER;
            for (place, way) in ways.iter().enumerate() {
                if place != at {
                    let cube = self.cube(way);
                    others = self.or(others, cube);
                }
            }
            if others == a {
                ways.remove(at);
            } else {
                at += 1;
            }
        }
        ways
    }

    fn cube(&mut self, way: &[(ExprId, bool)]) -> GuardId {
        let mut all = ALWAYS;
        for (variable, holds) in way {
            let mut literal = self.variable(*variable);
            if !holds {
                literal = self.not(literal);
            }
            all = self.and(all, literal);
        }
        all
    }

    fn paths(&self, a: GuardId, path: &mut Way, paths: &mut Vec<Way>) {
        match a {
            NEVER => {}
            ALWAYS => paths.push(path.clone()),
            _ => {
                let row = self.row(a);
                for (holds, next) in [(false, row.otherwise), (true, row.then)] {
                    path.push((row.variable, holds));
                    self.paths(next, path, paths);
                    path.pop();
                }
            }
        }
    }

    /// The variables of a function, ascending.
    pub fn variables(&self, a: GuardId) -> Vec<ExprId> {
        let mut seen = std::collections::BTreeSet::new();
        let mut found = std::collections::BTreeSet::new();
        let mut open = vec![a];
        while let Some(id) = open.pop() {
            if id != NEVER && id != ALWAYS && seen.insert(id) {
                let row = self.row(id);
                found.insert(row.variable);
                open.extend([row.otherwise, row.then]);
            }
        }
        found.into_iter().collect()
    }

    /// The function with other functions in the place of its variables; a variable without one stays.
    pub fn composed(&mut self, a: GuardId, with: &BTreeMap<ExprId, GuardId>) -> GuardId {
        self.composed_once(a, with, &mut HashMap::new())
    }

    fn composed_once(
        &mut self,
        a: GuardId,
        with: &BTreeMap<ExprId, GuardId>,
        done: &mut HashMap<GuardId, GuardId>,
    ) -> GuardId {
        if a == NEVER || a == ALWAYS {
            return a;
        }
        if let Some(found) = done.get(&a) {
            return *found;
        }
        let row = self.row(a);
        let then = self.composed_once(row.then, with, done);
        let otherwise = self.composed_once(row.otherwise, with, done);
        let choice = match with.get(&row.variable) {
            Some(other) => *other,
            None => self.variable(row.variable),
        };
        let opposite = self.not(choice);
        let (then, otherwise) = (self.and(choice, then), self.and(opposite, otherwise));
        let result = self.or(then, otherwise);
        done.insert(a, result);
        result
    }

    /// The function where a variable is decided.
    pub fn decided(&mut self, a: GuardId, variable: ExprId, holds: bool) -> GuardId {
        if a == NEVER || a == ALWAYS {
            return a;
        }
        let row = self.row(a);
        if row.variable > variable {
            return a;
        }
        if row.variable == variable {
            return if holds { row.then } else { row.otherwise };
        }
        let otherwise = self.decided(row.otherwise, variable, holds);
        let then = self.decided(row.then, variable, holds);
        self.choice(row.variable, otherwise, then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_functions_are_one_and_ways_are_short() {
        let mut g = Guards::new();
        let (a, b) = (g.variable(ExprId::new(1)), g.variable(ExprId::new(2)));
        let either = g.or(a, b);
        let not_a = g.not(a);
        let rest = g.and(not_a, b);
        assert_eq!(g.or(a, rest), either);
        let ways = g.ways(either);
        assert_eq!(
            ways,
            vec![vec![(ExprId::new(2), true)], vec![(ExprId::new(1), true)]]
        );
        assert!(g.implies(rest, b));
        assert!(!g.implies(b, rest));
        assert_eq!(g.decided(either, ExprId::new(2), false), a);
        assert_eq!(g.ways(ALWAYS), vec![Way::new()]);
        assert!(g.ways(NEVER).is_empty());
    }

    #[test]
    fn a_variable_can_be_replaced_by_a_function() {
        let mut g = Guards::new();
        let [a, b, c] = [1, 2, 3].map(|row| g.variable(ExprId::new(row)));
        let not_b = g.not(b);
        let before = g.and(a, not_b);
        let either = g.or(a, c);
        let after = g.composed(before, &[(ExprId::new(2), either)].into());
        // a and not (a or c) holds never; c and not (a or c) neither.
        assert_eq!(after, NEVER);
        let swapped = g.composed(before, &[(ExprId::new(1), b), (ExprId::new(2), a)].into());
        let not_a = g.not(a);
        assert_eq!(swapped, g.and(b, not_a));
        assert_eq!(g.composed(before, &BTreeMap::new()), before);
    }
}

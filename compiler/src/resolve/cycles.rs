//! Cycles in graphs of uses: of files, functions and `let`s. One answer for all three.

use std::collections::{BTreeMap, VecDeque};

use guide_grammar::span::Span;

/// One use on a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Who uses.
    pub from: usize,
    /// What is used.
    pub to: usize,
    /// Where that is written.
    pub span: Span,
}

/// For each group of nodes that reach each other, one shortest cycle through the group's lowest
/// node that lies on one, beginning there. `edges[n]` is what `n` uses.
pub(super) fn shortest(edges: &[Vec<(usize, Span)>]) -> Vec<Vec<Hop>> {
    let groups = groups(edges);
    let mut done = vec![false; groups.iter().max().map_or(0, |last| last + 1)];
    let mut cycles = Vec::new();
    for node in 0..edges.len() {
        if done[groups[node]] {
            continue;
        }
        done[groups[node]] = true;
        let inside = |other: usize| groups.get(other) == Some(&groups[node]);
        if let Some(cycle) = path(edges, node, node, inside) {
            cycles.push(cycle);
        }
    }
    cycles
}

/// A shortest path of at least one hop from `start` to `goal` over nodes that `inside` allows.
pub(super) fn path(
    edges: &[Vec<(usize, Span)>],
    start: usize,
    goal: usize,
    inside: impl Fn(usize) -> bool,
) -> Option<Vec<Hop>> {
    let mut reached: BTreeMap<usize, Hop> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for &(to, span) in edges.get(from).into_iter().flatten() {
            if !inside(to) || reached.contains_key(&to) {
                continue;
            }
            reached.insert(to, Hop { from, to, span });
            if to == goal {
                return Some(back(&reached, start, goal));
            }
            queue.push_back(to);
        }
    }
    None
}

fn back(reached: &BTreeMap<usize, Hop>, start: usize, goal: usize) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut at = goal;
    while let Some(hop) = reached.get(&at) {
        hops.push(*hop);
        at = hop.from;
        if at == start {
            break;
        }
    }
    hops.reverse();
    hops
}

/// For each node the number of its group: nodes that reach each other share one (Tarjan's
/// strongly connected components, with a stack of its own: a chain of files may be long).
pub(super) fn groups(edges: &[Vec<(usize, Span)>]) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    let mut low = vec![0; edges.len()];
    let mut group = vec![UNSEEN; edges.len()];
    let (mut next, mut groups) = (0, 0);
    let mut open = Vec::new();
    for root in 0..edges.len() {
        if order[root] != UNSEEN {
            continue;
        }
        let mut walk = vec![(root, 0)];
        while let Some(&mut (node, ref mut at)) = walk.last_mut() {
            if *at == 0 {
                order[node] = next;
                low[node] = next;
                next += 1;
                open.push(node);
            }
            if let Some(&(to, _)) = edges[node].get(*at) {
                *at += 1;
                if to >= edges.len() {
                    continue;
                }
                if order[to] == UNSEEN {
                    walk.push((to, 0));
                } else if group[to] == UNSEEN {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            walk.pop();
            if let Some(&(parent, _)) = walk.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                while let Some(member) = open.pop() {
                    group[member] = groups;
                    if member == node {
                        break;
                    }
                }
                groups += 1;
            }
        }
    }
    group
}

#[cfg(test)]
mod tests {
    use guide_grammar::span::Span;
    use proptest::prelude::*;

    use super::{groups, shortest};

    fn graph(edges: &[(usize, usize)], nodes: usize) -> Vec<Vec<(usize, Span)>> {
        let mut graph = vec![Vec::new(); nodes];
        for (from, to) in edges {
            graph[*from].push((*to, Span::default()));
        }
        graph
    }

    #[test]
    fn a_chain_has_no_cycle_and_a_ring_has_one() {
        let chain: Vec<_> = (0..100_000).map(|n| (n, n + 1)).collect();
        assert!(shortest(&graph(&chain, 100_001)).is_empty());
        let ring = shortest(&graph(&[(0, 1), (1, 2), (2, 1), (2, 3), (3, 3)], 4));
        let nodes: Vec<Vec<_>> = ring
            .iter()
            .map(|c| c.iter().map(|h| h.from).collect())
            .collect();
        assert_eq!(nodes, [vec![1, 2], vec![3]]);
    }

    proptest! {
        /// Against reachability by repeated squaring.
        #[test]
        fn groups_are_mutual_reachability(
            edges in prop::collection::vec((0usize..8, 0usize..8), 0..20),
        ) {
            let mut reach = [[false; 8]; 8];
            for (n, row) in reach.iter_mut().enumerate() {
                row[n] = true;
            }
            for (from, to) in &edges {
                reach[*from][*to] = true;
            }
            for via in 0..8 {
                for from in 0..8 {
                    for to in 0..8 {
                        reach[from][to] |= reach[from][via] && reach[via][to];
                    }
                }
            }
            let groups = groups(&graph(&edges, 8));
            for a in 0..8 {
                for b in 0..8 {
                    prop_assert_eq!(groups[a] == groups[b], reach[a][b] && reach[b][a]);
                }
            }
            for cycle in shortest(&graph(&edges, 8)) {
                for (hop, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
                    prop_assert!(edges.contains(&(hop.from, hop.to)));
                    prop_assert_eq!(hop.to, next.from);
                }
            }
        }
    }
}

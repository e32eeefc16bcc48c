//! The stretches of the networks as tapes: the same layers, in the same order, as in [`super::super::resnet`],
//! [`super::super::transformer`] and [`super::super::vae`].

use super::tape::{Place, Tape, Work};

/// Places of a convolution's kernel.
const TAPS: u128 = 9;
/// Tokens of a text.
const TEXT: u128 = 77;
/// Queries whose scores are held at once on the way back through an attention.
const QUERIES: u128 = 128;

/// Height and width of a map.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    fn places(self) -> u128 {
        self.height as u128 * self.width as u128
    }

    /// Numbers of a map with so many channels.
    pub fn of(self, channels: usize) -> u128 {
        self.places() * channels as u128
    }

    /// Half of it, rounded up or down.
    pub fn halved(self, up: bool) -> Self {
        let half = |side: usize| if up { side.div_ceil(2) } else { side / 2 };
        Self {
            height: half(self.height),
            width: half(self.width),
        }
    }

    /// Twice of it.
    pub fn doubled(self) -> Self {
        Self {
            height: self.height.saturating_mul(2),
            width: self.width.saturating_mul(2),
        }
    }
}

/// With so many weights from as many channels to as many.
fn weights([from, to]: [usize; 2], taps: u128) -> Work {
    Work {
        weights: from as u128 * to as u128 * taps,
        numbers: 0,
    }
}

/// A convolution that keeps the size.
pub fn convolution([from, to]: [usize; 2], size: Size) -> Tape {
    let mut tape = Tape::new(size.of(from));
    tape.layer(&[tape.start()], size.of(to), weights([from, to], TAPS));
    tape
}

/// The last norm and convolution.
pub fn last([from, to]: [usize; 2], size: Size) -> Tape {
    let mut tape = Tape::new(size.of(from));
    let normed = tape.layer(&[tape.start()], size.of(from), Work::default());
    tape.layer(&[normed], size.of(to), weights([from, to], TAPS));
    tape
}

/// A convolution that changes the size, down by its stride or up behind an enlargement.
pub fn change(channels: usize, from: Size, to: Size) -> Tape {
    let mut tape = Tape::new(from.of(channels));
    let mut work = weights([channels; 2], TAPS);
    let mut x = tape.start();
    if to.places() >= from.places() {
        x = tape.layer(&[x], to.of(channels), Work::default());
    } else {
        // The gradient with zeros between its places.
        work.numbers = from.of(channels);
    }
    tape.layer(&[x], to.of(channels), work);
    tape
}

/// A resnet.
pub fn resnet([from, to]: [usize; 2], size: Size) -> Tape {
    let mut tape = Tape::new(size.of(from));
    let start = tape.start();
    let normed = tape.layer(&[start], size.of(from), Work::default());
    let inside = tape.layer(&[normed], size.of(to), weights([from, to], TAPS));
    let normed = tape.layer(&[inside], size.of(to), Work::default());
    let skip = match from == to {
        true => start,
        false => tape.layer(&[start], size.of(to), weights([from, to], 1)),
    };
    tape.layer_plus(normed, skip, weights([to, to], TAPS));
    tape
}

/// A transformer of so many blocks over the places of a map.
pub fn transformer(channels: usize, size: Size, heads: usize, blocks: usize) -> Tape {
    let map = size.of(channels);
    let square = weights([channels; 2], 1);
    let mut tape = Tape::new(map);
    let start = tape.start();
    let normed = tape.layer(&[start], map, Work::default());
    let mut h = tape.layer(&[normed], map, of_map(square, map));
    for _ in 0..blocks {
        let normed = tape.layer(&[h], map, Work::default());
        let own = [normed; 3].map(|from| tape.layer(&[from], map, square));
        let mixed = attend(&mut tape, own, (channels, heads));
        h = tape.layer_plus(mixed, h, square);

        let normed = tape.layer(&[h], map, Work::default());
        let asked = tape.layer(&[normed], map, square);
        let text = TEXT * channels as u128;
        let told = [tape.constant(text), tape.constant(text)];
        let mixed = attend(&mut tape, [asked, told[0], told[1]], (channels, heads));
        h = tape.layer_plus(mixed, h, square);

        let normed = tape.layer(&[h], map, Work::default());
        let wide = weights([channels, 4 * channels], 1);
        // Both halves are computed once more, and what both leave is added.
        let gated = Work {
            weights: 2 * wide.weights,
            numbers: 9 * map,
        };
        let gated = tape.layer(&[normed], 4 * map, gated);
        h = tape.layer_plus(gated, h, wide);
    }
    let out = tape.layer(&[h], map, square);
    tape.layer_plus(out, start, Work::default());
    tape
}

/// A linear layer of the places of a map: its gradient is made of tokens, and turned.
fn of_map(layer: Work, map: u128) -> Work {
    Work {
        numbers: 2 * map,
        ..layer
    }
}

/// The autoencoder's attention.
pub fn attention(channels: usize, size: Size) -> Tape {
    let map = size.of(channels);
    let square = weights([channels; 2], 1);
    let mut tape = Tape::new(map);
    let start = tape.start();
    let normed = tape.layer(&[start], map, Work::default());
    let tokens = tape.layer(&[normed], map, Work::default());
    let own = [tokens; 3].map(|from| tape.layer(&[from], map, square));
    let mixed = attend(&mut tape, own, (channels, 1));
    let out = tape.layer(&[mixed], map, square);
    tape.layer_plus(out, start, Work::default());
    tape
}

/// Attention, with all heads at work at once.
fn attend(tape: &mut Tape, qkv: [Place; 3], (channels, heads): (usize, usize)) -> Place {
    let [asked, told, _] = qkv.map(|place| tape.size(place));
    let given = 2 * (asked + told);
    let tokens = told / (channels as u128).max(1);
    let work = Work {
        weights: 0,
        // What was given, whole and by heads; what is made, by heads, of keys and values once more while
        // they are added to; keys and values as the kernels take them; scores and their gradient.
        numbers: 2 * given
            + (asked + 2 * told)
            + 2 * told
            + 4 * told
            + 2 * QUERIES * tokens * heads as u128,
    };
    tape.layer(&qkv, asked, work)
}

//! The memory that gradients through the networks take, told by their configs: what `models::gradient` keeps
//! of each stretch, and what the way back through one of them holds. `runtime/tests/memory.rs` measures it.

mod layers;
mod tape;

use super::config::{UNetConfig, VaeConfig};
use layers::{Size, attention, change, convolution, last, resnet, transformer};
use tape::Tape;

/// Bytes of so many numbers of f32. Counted in 128 bits: a config may ask for what no machine has.
fn bytes(numbers: u128) -> u64 {
    u64::try_from(4 * numbers).unwrap_or(u64::MAX)
}

/// A move of a forward pass, see [`super::blocks::Move`].
enum Move {
    /// Through a stretch.
    Through(Tape),
    /// What has come so far is kept for the way up.
    Keep,
    /// What was kept joins; both together have so many numbers.
    Join(u128),
}

/// The most numbers that the way back through all moves holds.
fn most(moves: &[Move]) -> u128 {
    let mut given: u128 = 0;
    for step in moves {
        if let Move::Through(tape) = step {
            given += tape.given();
        }
    }
    let (mut most, mut joined) = (0, Vec::new());
    for step in moves.iter().rev() {
        match step {
            Move::Through(tape) => {
                // What this stretch was given is on its tape.
                given -= tape.given();
                let beside = given + joined.iter().sum::<u128>();
                most = most.max(tape.most() + beside);
            }
            Move::Join(size) => joined.push(*size),
            Move::Keep => {
                joined.pop();
            }
        }
    }
    most
}

impl UNetConfig {
    /// Bytes that a gradient through the network holds at once for a sample with latents of this height and
    /// width, each stretch recomputed on the way back; besides the weights. At most, with texts of 77 tokens.
    pub fn backward(&self, height: usize, width: usize) -> u64 {
        let mut moves = Moves {
            config: self,
            all: Vec::new(),
            size: Size { height, width },
            channels: self.block_out_channels.first().copied().unwrap_or(0),
            kept: Vec::new(),
        };
        moves.enter();
        let levels = self.block_out_channels.len();
        for level in 0..levels {
            moves.down(level);
        }
        moves.middle(levels - 1);
        for level in (0..levels).rev() {
            moves.up(level);
        }
        moves.leave();
        bytes(most(&moves.all))
    }
}

/// The moves of a UNet, as they are gone through.
struct Moves<'a> {
    config: &'a UNetConfig,
    all: Vec<Move>,
    /// What has come so far.
    size: Size,
    channels: usize,
    /// What is kept for the way up: its channels and size.
    kept: Vec<(usize, Size)>,
}

impl Moves<'_> {
    fn enter(&mut self) {
        let channels = [self.config.in_channels, self.channels];
        self.through(convolution(channels, self.size));
        self.keep();
    }

    fn leave(&mut self) {
        let tape = last([self.channels, self.config.out_channels], self.size);
        self.through(tape);
    }

    fn through(&mut self, tape: Tape) {
        self.all.push(Move::Through(tape));
    }

    fn keep(&mut self) {
        self.all.push(Move::Keep);
        self.kept.push((self.channels, self.size));
    }

    fn resnet(&mut self, output: usize) {
        self.through(resnet([self.channels, output], self.size));
        self.channels = output;
    }

    fn transformer(&mut self, level: usize) {
        let UNetConfig {
            heads,
            transformer_layers,
            ..
        } = self.config;
        let tape = transformer(
            self.channels,
            self.size,
            heads[level],
            transformer_layers[level],
        );
        self.through(tape);
    }

    fn down(&mut self, level: usize) {
        let config = self.config;
        for _ in 0..config.layers_per_block[level] {
            self.resnet(config.block_out_channels[level]);
            if config.down_attends[level] {
                self.transformer(level);
            }
            self.keep();
        }
        if level + 1 < config.block_out_channels.len() {
            let to = self.size.halved(config.downsample_padding > 0);
            self.through(change(self.channels, self.size, to));
            self.size = to;
            self.keep();
        }
    }

    fn middle(&mut self, level: usize) {
        let channels = self.channels;
        self.resnet(channels);
        self.transformer(level);
        self.resnet(channels);
    }

    fn up(&mut self, level: usize) {
        let config = self.config;
        let i = config.block_out_channels.len() - 1 - level;
        for _ in 0..=config.layers_per_block[level] {
            if let Some((channels, _)) = self.kept.pop() {
                self.channels += channels;
                let both = self.size.of(self.channels);
                self.all.push(Move::Join(both));
            }
            self.resnet(config.block_out_channels[level]);
            if config.up_attends[i] {
                self.transformer(level);
            }
        }
        if level > 0 {
            let next = self.kept.last();
            let to = next.map_or(self.size, |(_, size)| *size);
            self.through(change(self.channels, self.size, to));
            self.size = to;
        }
    }
}

impl VaeConfig {
    /// Bytes that a gradient through the decoder holds at once for a sample with latents of this height and
    /// width, each stretch recomputed on the way back; besides the weights. At most.
    pub fn backward(&self, height: usize, width: usize) -> u64 {
        let mut size = Size { height, width };
        let mut channels = self.block_out_channels.last().copied().unwrap_or(0);
        let mut tapes = vec![
            convolution([self.latent_channels, channels], size),
            resnet([channels; 2], size),
        ];
        if self.mid_attends {
            tapes.push(attention(channels, size));
        }
        tapes.push(resnet([channels; 2], size));
        for (level, output) in self.block_out_channels.iter().enumerate().rev() {
            for _ in 0..=self.layers_per_block {
                tapes.push(resnet([channels, *output], size));
                channels = *output;
            }
            if level > 0 {
                let to = size.doubled();
                tapes.push(change(channels, size, to));
                size = to;
            }
        }
        tapes.push(last([channels, self.out_channels], size));
        let moves: Vec<Move> = tapes.into_iter().map(Move::Through).collect();
        bytes(most(&moves))
    }
}

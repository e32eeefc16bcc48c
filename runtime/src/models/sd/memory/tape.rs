//! How many numbers a backward pass through a stretch holds at once: its layers are gone through as the tensor
//! library goes through them, with sizes in place of tensors.

/// A tensor of a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Place(usize);

/// A layer, on its way back.
#[derive(Clone, Debug, Default)]
struct Layer {
    /// What it is given and has gradients of its own for.
    given: Vec<usize>,
    /// What it adds to its result: the gradient is that of the result, and takes no memory of its own.
    plus: Option<usize>,
    result: usize,
    work: Work,
}

/// What a layer holds while its gradients are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Numbers of the weights, which are turned round for it: once as rows, once as the kernels take them.
    pub weights: u128,
    /// Other numbers.
    pub numbers: u128,
}

/// A stretch of a network, as the layers that it is made of.
#[derive(Clone, Debug)]
pub struct Tape {
    sizes: Vec<u128>,
    layers: Vec<Layer>,
}

impl Tape {
    /// Of a stretch that is given so many numbers.
    pub fn new(given: u128) -> Self {
        Self {
            sizes: vec![given],
            layers: Vec::new(),
        }
    }

    /// What the stretch is given.
    pub fn start(&self) -> Place {
        Place(0)
    }

    /// A tensor that does not hang on what the stretch is given. Its gradient is made and kept all the same.
    pub fn constant(&mut self, size: u128) -> Place {
        self.sizes.push(size);
        Place(self.sizes.len() - 1)
    }

    /// A layer of `given` with a result of so many numbers.
    pub fn layer(&mut self, given: &[Place], size: u128, work: Work) -> Place {
        self.add(given, None, size, work)
    }

    /// The same of a layer that adds `plus` to its result.
    pub fn layer_plus(&mut self, given: Place, plus: Place, work: Work) -> Place {
        self.add(&[given], Some(plus.0), self.size(plus), work)
    }

    fn add(&mut self, given: &[Place], plus: Option<usize>, size: u128, work: Work) -> Place {
        let result = self.constant(size);
        self.layers.push(Layer {
            given: given.iter().map(|place| place.0).collect(),
            plus,
            result: result.0,
            work,
        });
        result
    }

    /// How many numbers a tensor has.
    pub fn size(&self, place: Place) -> u128 {
        self.sizes[place.0]
    }

    /// How many numbers the stretch is given.
    pub fn given(&self) -> u128 {
        self.sizes[0]
    }

    /// The most numbers at once: of all that the layers have come to, of the gradient by the result, and of
    /// what the way back makes.
    pub fn most(&self) -> u128 {
        let by_result = self.layers.last().map_or(0, |last| self.sizes[last.result]);
        let mut back = Back {
            sizes: &self.sizes,
            held: self.sizes.iter().sum::<u128>() + by_result,
            gradients: vec![false; self.sizes.len()],
            under_way: 0,
            most: 0,
        };
        if let Some(last) = self.layers.last() {
            back.receive(last.result, 0);
        }
        for layer in self.layers.iter().rev() {
            back.go(layer);
        }
        back.most
    }
}

/// A way back that is under way.
struct Back<'a> {
    sizes: &'a [u128],
    /// What is held all the time.
    held: u128,
    /// Of which tensors there are gradients, and how many numbers all of these have.
    gradients: Vec<bool>,
    under_way: u128,
    most: u128,
}

impl Back<'_> {
    fn go(&mut self, layer: &Layer) {
        let made: u128 = layer.given.iter().map(|place| self.sizes[*place]).sum();
        let Work { weights, numbers } = layer.work;
        self.see((2 * weights).max(weights + numbers + made));
        for place in layer.given.iter().copied().chain(layer.plus) {
            self.receive(place, made);
        }
        if std::mem::take(&mut self.gradients[layer.result]) {
            self.under_way -= self.sizes[layer.result];
        }
    }

    /// A gradient is added to what there is of it, zeros at first, as a tensor of its own; `beside` are what
    /// the layer has made.
    fn receive(&mut self, place: usize, beside: u128) {
        let size = self.sizes[place];
        if !std::mem::replace(&mut self.gradients[place], true) {
            self.under_way += size;
        }
        self.see(beside + size);
    }

    fn see(&mut self, now: u128) {
        self.most = self.most.max(self.held + self.under_way + now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_holds_both_ends_and_their_gradients() {
        let mut tape = Tape::new(10);
        tape.layer(&[tape.start()], 3, Work::default());
        // Given, result, the gradient by the result twice; then that by what was given is made, and added to
        // zeros.
        assert_eq!(tape.most(), 10 + 3 + 3 + 3 + 10 + 10 + 10);
    }

    #[test]
    fn weights_that_are_turned_round_count() {
        let mut tape = Tape::new(1);
        let weights = 1000;
        tape.layer(
            &[tape.start()],
            1,
            Work {
                weights,
                numbers: 0,
            },
        );
        assert_eq!(tape.most(), 4 + 2 * weights);
    }

    #[test]
    fn what_is_added_has_no_gradient_of_its_own_until_it_is_received() {
        let mut tape = Tape::new(10);
        let start = tape.start();
        let inside = tape.layer(&[start], 4, Work::default());
        tape.layer_plus(inside, start, Work::default());
        // All three and the gradient by the result, twice; one made by what is inside, which was received,
        // and that by the start, received.
        assert_eq!(tape.most(), (10 + 4 + 10) + 10 + 10 + 4 + (4 + 10 + 10));
    }
}

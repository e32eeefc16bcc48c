//! What a solver is told besides its ticks, from a config and the number of steps.

use crate::plan::{Clip, Form, Method, Second};

use super::{Sampler, SchedulerConfig};

/// Below so many steps the last two are of lower order.
const FEW_STEPS: usize = 15;

/// The choices of a run of `steps` steps.
pub fn method(config: &SchedulerConfig, sampler: Sampler, steps: u32) -> Method {
    let looks_back = matches!(
        sampler,
        Sampler::Dpmpp2m | Sampler::Dpmpp2mSde | Sampler::Dpmpp2s | Sampler::UniPc
    );
    let form = matches!(sampler, Sampler::Dpmpp2m | Sampler::UniPc).then_some(config.form);
    let only = |one: Sampler| sampler == one;
    Method {
        orders: orders(config, sampler, steps as usize),
        form: form.unwrap_or(Form::Clean),
        second: match (config.second, sampler) {
            (second @ Second::Step, Sampler::UniPc) => second,
            (Second::Step, _) | (Second::Heun, Sampler::UniPc) => Second::Midpoint,
            (second, _) if looks_back => second,
            _ => Second::Midpoint,
        },
        eta: if only(Sampler::Ddim) { config.eta } else { 0.0 },
        forward_variance: only(Sampler::Ddpm) && config.forward_variance,
        boundary: only(Sampler::Lcm).then_some((config.timestep_scaling, 0.5)),
        clip: if clips(sampler, config.clip) {
            config.clip
        } else {
            Clip::No
        },
    }
}

/// Whether a solver has a place where a clean sample is cut.
pub fn clips(sampler: Sampler, clip: Clip) -> bool {
    match sampler {
        Sampler::Ddim | Sampler::Ddpm | Sampler::Lcm => true,
        Sampler::Heun => !matches!(clip, Clip::Quantile { .. }),
        Sampler::Dpmpp2m | Sampler::Dpmpp2mSde | Sampler::Dpmpp2s | Sampler::UniPc => {
            !matches!(clip, Clip::Range(_))
        }
        _ => false,
    }
}

/// The highest order of each step; empty where that is 2, and 1 in a last step that ends without noise.
fn orders(config: &SchedulerConfig, sampler: Sampler, steps: usize) -> Vec<u32> {
    let order = config.order.unwrap_or(2);
    let orders = match sampler {
        Sampler::Dpmpp2m | Sampler::Dpmpp2mSde => multistep(config, order, steps),
        Sampler::Dpmpp2s => return singlestep(config, order, steps),
        Sampler::UniPc => {
            let lower = config.lower_last.unwrap_or(true);
            let left = |i: usize| u32::try_from(steps - i).unwrap_or(order);
            (0..steps)
                .map(|i| if lower { order.min(left(i)) } else { order })
                .collect()
        }
        _ => Vec::new(),
    };
    let usual = |i: usize| {
        if config.final_sigma_zero && i + 1 == steps {
            1
        } else {
            2
        }
    };
    if orders.iter().enumerate().all(|(i, o)| *o == usual(i)) {
        Vec::new()
    } else {
        orders
    }
}

fn multistep(config: &SchedulerConfig, order: u32, steps: usize) -> Vec<u32> {
    let lower = config.lower_last.unwrap_or(true) && steps < FEW_STEPS;
    let first_last = config.euler_last || lower || config.final_sigma_zero;
    (1..=steps)
        .map(|i| match steps - i {
            0 if first_last => 1,
            1 if lower => order.min(2),
            _ => order,
        })
        .collect()
}

/// Every cycle of `order` steps begins anew with a step of first order, as in DPM-Solver.
fn singlestep(config: &SchedulerConfig, order: u32, steps: usize) -> Vec<u32> {
    let cycle = order as usize;
    // What does not fill a cycle, and an end without noise, needs lower orders there.
    let lower = config.lower_last.unwrap_or(false)
        || config.final_sigma_zero
        || !steps.is_multiple_of(cycle);
    let mut orders: Vec<u32> = (0..steps).map(|i| (i % cycle) as u32 + 1).collect();
    if lower && steps.is_multiple_of(cycle) {
        // The last cycle is a shorter one and a step of first order.
        orders.pop();
        orders.push(1);
    }
    if config.final_sigma_zero
        && let Some(last) = orders.last_mut()
    {
        *last = 1;
    }
    orders
}

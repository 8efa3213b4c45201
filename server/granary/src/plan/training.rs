//! The bytes of a model's state.
//!
//! Mixed-precision training with Adam holds 2 bytes of weights, 2 of gradients, 4 of master weights, 4 of momentum and
//! 4 of variance for each parameter: 16 (Rajbhandari et al., ZeRO, 2020, section 3.1, <https://arxiv.org/abs/1910.02054>).
//! A checkpoint has no gradients: they are computed anew from the next batch.

use clap::ValueEnum;
use serde::Serialize;

/// Bytes of a 32-bit number: what optimizers keep.
const FULL_BYTES: u8 = 4;

/// How the model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of the formats")]
pub enum Precision {
    Bf16,
    Fp16,
    Fp32,
}

/// What updates the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Two 32-bit moments (AdamW too): Kingma and Ba, <https://arxiv.org/abs/1412.6980>.
    #[value(alias = "adamw")]
    Adam,
    /// Two moments of 8 bits: Dettmers et al., <https://arxiv.org/abs/2110.02861>.
    Adam8bit,
    /// One 32-bit momentum: Chen et al., <https://arxiv.org/abs/2302.06675>.
    Lion,
    /// Stochastic gradient descent with one 32-bit momentum.
    Momentum,
    /// Stochastic gradient descent, which keeps nothing.
    Sgd,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Saved {
    /// All that training goes on from: weights, master weights, the optimizer's state.
    All,
    /// The weights alone, for inference.
    Weights,
}

/// Bytes of each parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BytesPerParameter {
    /// The weights as the model computes with them.
    pub weights: u8,
    /// The gradients, which are in memory only.
    pub gradients: u8,
    /// The 32-bit copy of the weights that 16-bit training updates.
    pub master: u8,
    /// The optimizer's state.
    pub optimizer: u8,
}

impl BytesPerParameter {
    /// Of a model trained so.
    #[must_use]
    pub fn of(precision: Precision, optimizer: Optimizer) -> Self {
        let (weights, master) = match precision {
            Precision::Bf16 | Precision::Fp16 => (2, FULL_BYTES),
            Precision::Fp32 => (FULL_BYTES, 0),
        };
        let optimizer = match optimizer {
            Optimizer::Adam => 2 * FULL_BYTES,
            Optimizer::Adam8bit => 2,
            Optimizer::Lion | Optimizer::Momentum => FULL_BYTES,
            Optimizer::Sgd => 0,
        };
        Self { weights, gradients: weights, master, optimizer }
    }

    /// In the memory of the accelerators.
    #[must_use]
    pub fn in_memory(self) -> u8 {
        self.weights + self.gradients + self.master + self.optimizer
    }

    /// In a checkpoint.
    #[must_use]
    pub fn in_checkpoint(self, saved: Saved) -> u8 {
        match saved {
            Saved::All => self.weights + self.master + self.optimizer,
            Saved::Weights => self.weights,
        }
    }
}

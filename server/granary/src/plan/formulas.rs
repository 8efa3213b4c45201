//! What the numbers of a plan are computed by, and where that is from: for people and for programs, from one list.

use serde::Serialize;

use super::PlanArgs;
use super::training::{BytesPerParameter, Optimizer, Saved};

/// What needs no source: it is what the words say.
pub(super) const DEFINITION: &str = "by definition";
const ZERO: &str = "Rajbhandari et al., ZeRO, 2020, section 3.1, https://arxiv.org/abs/1910.02054";
const ADAM: &str = "Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980";
const ADAM8BIT: &str = "Dettmers et al., 2021, https://arxiv.org/abs/2110.02861";
const LION: &str = "Chen et al., 2023, https://arxiv.org/abs/2302.06675";
const YOUNG: &str = "Young, 1974, https://doi.org/10.1145/361147.361115";

/// What a number is computed by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Formula {
    /// What is computed.
    pub name: &'static str,
    /// From what.
    pub formula: String,
    /// Where that is from.
    pub source: &'static str,
}

/// The formulas of a plan, in the order in which one needs the other.
pub(super) fn formulas(args: &PlanArgs) -> Vec<Formula> {
    let BytesPerParameter { weights, gradients, master, optimizer } =
        BytesPerParameter::of(args.precision, args.optimizer);
    let held = format!("weights {weights} + gradients {gradients} + master {master} + optimizer {optimizer}");
    let saved = match args.save {
        Saved::All => format!("weights {weights} + master {master} + optimizer {optimizer}"),
        Saved::Weights => format!("weights {weights}"),
    };
    let (state, state_source) = state(args.optimizer);
    let all = [
        ("bytes per parameter of the optimizer", state, state_source),
        ("bytes per parameter in memory", held.as_str(), ZERO),
        ("bytes per parameter saved", saved.as_str(), ZERO),
        ("checkpoint", "parameters x bytes saved", DEFINITION),
        ("upload needed", "checkpoint / pause", DEFINITION),
        ("training waits", "pause / interval", DEFINITION),
        ("best interval", "sqrt(2 x pause x MTBF)", YOUNG),
        (
            "data",
            "(checkpoints kept + the one being written) x checkpoint, and the dataset on SSD",
            DEFINITION,
        ),
        ("with parity", "data x (k+m)/k", DEFINITION),
        (
            "written",
            "upload x (k+m)/k; for the archive, one checkpoint in the time between two archived",
            DEFINITION,
        ),
    ];
    let formula =
        |(name, formula, source): (_, &str, _)| Formula { name, formula: formula.to_owned(), source };
    let mut formulas: Vec<Formula> = all.into_iter().map(formula).collect();
    let drives =
        format!("the most of: with parity / (size x {} %), written / drive speed, k+m", args.fill_percent);
    formulas.push(Formula { name: "drives", formula: drives, source: DEFINITION });
    // Without failures no interval is the best.
    formulas.retain(|formula| formula.name != "best interval" || args.mtbf.is_some());
    formulas
}

/// What an optimizer keeps of each parameter, and where that is from.
fn state(optimizer: Optimizer) -> (&'static str, &'static str) {
    match optimizer {
        Optimizer::Adam => ("two moments x 4", ADAM),
        Optimizer::Adam8bit => ("two moments x 1", ADAM8BIT),
        Optimizer::Lion => ("momentum x 4", LION),
        Optimizer::Momentum => ("momentum x 4", DEFINITION),
        Optimizer::Sgd => ("nothing", DEFINITION),
    }
}

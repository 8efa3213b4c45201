#![allow(clippy::unwrap_used, reason = "tests")]

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PlanArgs,
}

fn args(line: &str) -> PlanArgs {
    Line::try_parse_from(std::iter::once("plan").chain(line.split(' '))).unwrap().args
}

fn plan(line: &str) -> Plan {
    Plan::of(&args(line))
}

#[test]
fn a_70b_model_with_adam_saves_14_bytes_a_parameter() {
    let plan = plan("--params 70e9 --optimizer adam --precision bf16 --every 30m --keep 10");
    assert_eq!(plan.bytes_per_parameter.in_memory(), 16);
    assert_eq!(plan.checkpoint_bytes, 980e9);
    // Eleven checkpoints with half as much parity on drives of 7.68 TB that are filled to 80 %.
    assert_eq!(plan.ssd.stored_bytes, 16.17e12);
    assert_eq!(plan.ssd.drives_for_capacity, 3);
    // 980 GB in a minute, with parity, by drives of 1.5 GB/s.
    assert_eq!(plan.ssd.drives_for_bandwidth, 17);
    assert_eq!(plan.ssd.drives, 17);
    assert_eq!(plan.hdd, None);
}

#[test]
fn full_precision_has_no_master_copy_and_inference_needs_weights_only() {
    assert_eq!(plan("--params 1B --precision fp32 --optimizer momentum").checkpoint_bytes, 8e9);
    assert_eq!(plan("--params 7.5B --save weights").checkpoint_bytes, 15e9);
    assert_eq!(plan("--params 350M --optimizer adamw").checkpoint_bytes, 4.9e9);
}

#[test]
fn an_archive_takes_one_checkpoint_in_the_time_between_two() {
    let hdd = plan("--params 70B --archive-every 48 --archive-keep 100 --every 30m").hdd.unwrap();
    assert_eq!(hdd.data_bytes, 101.0 * 980e9);
    assert_eq!(hdd.drives_for_bandwidth, 1);
    // 98.98 TB x 11/8 on drives of 20 TB x 80 %, and 8+3 needs eleven.
    assert_eq!(hdd.drives_for_capacity, 9);
    assert_eq!(hdd.drives, 11);
}

#[test]
fn failures_tell_how_often_to_save() {
    // The square root of 2 x 60 s x 3 h.
    let interval_s = plan("--params 70B --mtbf 3h").best_interval_s.unwrap();
    assert!((interval_s - 1138.4).abs() < 0.1, "{interval_s}");
}

#[test]
fn both_reports_cite_the_same_formulas() {
    const SOURCES: [&str; 3] = [
        "https://arxiv.org/abs/1412.6980",
        "https://arxiv.org/abs/1910.02054",
        "https://doi.org/10.1145/361147.361115",
    ];
    let args = args("--params 70B --mtbf 3h --archive-every 48 --archive-keep 100 --fill-percent 70");
    let plan = Plan::of(&args);
    let json = serde_json::to_value(&plan).unwrap();
    let (text, listed) = (report::text(&args, &plan), json["formulas"].as_array().unwrap());
    for source in SOURCES {
        assert!(text.contains(source), "{text}");
        assert!(listed.iter().any(|formula| formula["source"].as_str().unwrap().contains(source)), "{json}");
    }
    for formula in listed {
        for field in ["name", "formula"] {
            assert!(text.contains(formula[field].as_str().unwrap()), "{formula} is not in\n{text}");
        }
    }
    assert!(text.contains("size x 70 %") && listed.len() == 11);
    assert!(text.contains("weights 2 + gradients 2 + master 4 + optimizer 8"), "{text}");
    // Without failures there is no interval that is the best.
    assert_eq!(self::plan("--params 70B").formulas.len(), 10);
}

#[test]
fn sizes_that_no_count_of_bytes_holds_are_told_as_they_are() {
    let args = args("--params 70e9 --keep 4294967295");
    let text = report::text(&args, &Plan::of(&args));
    assert!(text.contains("4209.1 EB") && text.contains("6313.6 EB"), "{text}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    for line in
        ["--params 1B --archive-every 3", "--params 1B --every 10s --pause 20s", "--params 1B --ssd-size 0B"]
    {
        assert!(run(&args(line), OutputFormat::Json).is_err(), "{line}");
    }
    for count in ["", "B", "-3", "0", "nan", "1e16", "7 B B"] {
        assert!(count.parse::<Parameters>().is_err(), "{count}");
    }
}

use clap::{CommandFactory, Parser};

use super::Cli;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_documented_commands_parse() {
    for line in [
        "granary serve --data /mnt/d{1...6} --erasure 4+2 --tls-cert c --tls-key k",
        "granary serve --data ./data",
        "granary serve --data ./data --node-listen 10.0.0.1:9100 --zone rack1 --join --pack-alone",
        "granary config check --data ./data --json",
        "granary serve --data ssd:/mnt/s{1...6} --data hdd:/mnt/h{1...12} --tier GLACIER=hdd:8+3 --tier STANDARD_IA=hdd",
        "granary tier list --json",
        "granary tier restore s3://runs/2025/ --days 7 --tier Bulk --json",
        "granary --json drive list",
        "granary volume list --endpoint https://h:9000 --ca-cert c.pem",
        "granary volume compact --detach",
        "granary metadata copy --from sqlite:/mnt/d{1...6} --to postgres://h/granary --json",
        "granary migrate --metadata postgres://h/granary",
        "granary metadata backup --from postgres://h/granary --to file:/b/granary.backup",
        "granary metadata backups --data /mnt/d{1...6}",
        "granary metadata restore --from drives:/mnt/d{1...6} --to postgres://h/granary",
        "granary recover --from-drives --data /mnt/d{1...6} --list found.jsonl",
        "granary recover --from-drives --data /mnt/d{1...6} --lost --to postgres://h/granary --apply --candidates suggested",
        "granary keyring list --data /mnt/d{1...6}",
        "granary keyring create --keyring /etc/granary/keyring",
        "granary keyring add training --keyring /etc/granary/keyring",
        "granary keyring rotate sse-s3 --data /mnt/d{1...6} --json",
        "granary heal",
        "granary user add ann --access-key AK --secret-key swordfish --email ann@example.com",
        "granary user add bob --account 123456789012 --json",
        "granary user list --account 123456789012",
        "granary user remove ann",
        "granary user limit bob --account 123456789012 --requests-per-second 50",
        "granary bucket show corpora --json",
        "granary bucket quota corpora --bytes 10TiB --objects none",
        "granary bucket limit corpora --requests-per-second none",
        "granary bucket recount",
        "granary key list bob --account 123456789012",
        "granary key add ann",
        "granary key disable AK",
        "granary policy set bob --account 123456789012 --policy read --file policy.json",
        "granary policy attach bob --account 123456789012 --arn arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        "granary drive drain 0a1b --apply --detach",
        "granary drive drain 0a1b --cancel --json",
        "granary drive replace 0a1b 2c3d --apply --lost",
        "granary drive remove 0a1b",
        "granary drive moves --json",
        "granary tier jobs --json",
        "granary node drain 10.0.0.1:9100",
        "granary node remove 10.0.0.1:9100",
        "granary scrub --json",
        "granary plan --params 70e9 --optimizer adam --precision bf16 --every 30m --keep 10 --json",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    assert!(Cli::try_parse_from(["granary", "serve", "--relaxed"]).is_err());
    assert!(Cli::try_parse_from(["granary", "serve", "--erasure", "4"]).is_err());
}

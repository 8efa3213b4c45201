use super::*;

#[test]
fn the_newest_complete_version_is_taken() -> Result<()> {
    let root = std::env::temp_dir().join(format!("granary-xtask-postgres-{}", std::process::id()));
    for (version, programs) in [("9", &PROGRAMS[..]), ("15", &PROGRAMS[..]), ("16", &PROGRAMS[..3])] {
        let bin = root.join(version).join("bin");
        fs::create_dir_all(&bin)?;
        for program in programs {
            fs::write(bin.join(program), "")?;
        }
    }
    let found = newest(&root);
    fs::remove_dir_all(&root)?;
    assert_eq!(found, Some(root.join("15/bin")));
    assert_eq!(newest(&root), None);
    Ok(())
}

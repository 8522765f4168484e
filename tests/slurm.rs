//! A list fetched by a job array of a real Slurm, by the script that docs/fleet.md shows. Needs Slurm and root:
//! `just slurm`.

#![cfg(feature = "real-slurm")]
#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::Cluster;
use support::{Content, Resource, Server};
use tempfile::TempDir;

#[path = "real/slurm.rs"]
mod cluster;
mod support;

const TASKS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

fn object(n: u64) -> Content {
    Content::new(n, 3000 + n)
}

/// The script of the docs with our haul, our folder and fewer tasks, and its list beside it.
fn script(server: &Server, paths: &[String]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let docs = include_str!("../docs/fleet.md");
    let script = docs.split("## Slurm\n\n```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut script = script.expect("docs/fleet.md has a script").to_owned();
    for (theirs, ours) in [
        (" haul ", format!(" {} ", env!("CARGO_BIN_EXE_haul"))),
        (" /data ", format!(" {} ", dir.path().join("data").display())),
        ("0-15", format!("0-{}", TASKS - 1)),
        ("/16\"", format!("/{TASKS}\"")),
    ] {
        assert!(script.contains(theirs), "{theirs} in {script}");
        script = script.replace(theirs, &ours);
    }
    fs::write(dir.path().join("fetch.sh"), script).expect("the test's own folder");
    let list: String = paths.iter().map(|path| server.url(path) + "\n").collect();
    fs::write(dir.path().join("list.txt"), list).expect("the test's own folder");
    let path = dir.path().join("fetch.sh");
    (dir, path)
}

fn said(dir: &Path) -> String {
    let files =
        fs::read_dir(dir).expect("the test's own folder").map(|entry| entry.expect("an entry").path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "out"));
    logs.map(|log| fs::read_to_string(log).expect("a log")).collect()
}

fn assert_whole(dir: &Path, path: &str, content: &Content) {
    let difference = content.difference(&dir.join(format!("data{path}")));
    assert_eq!(difference, None, "{path}: {}", said(dir));
}

#[test]
fn an_array_fetches_each_entry_once_and_goes_on_where_it_was_cancelled() {
    let cluster = Cluster::start();
    let big = Content::new(99, 8 << 20);
    let paths: Vec<_> = (0..40).map(|n| format!("/{n}")).chain(["/big".to_owned()]).collect();
    let small = paths.iter().zip(0..40).map(|(path, n)| (path.as_str(), Resource::new(object(n))));
    let all = small.chain([("/big", Resource::new(big))]);
    let server = Server::builder().resources(all).shared_rate(2 << 20).start();
    let (dir, script) = script(&server, &paths);

    let job = cluster.submit(&script);
    let small = |n| dir.path().join(format!("data/{n}")).exists();
    cluster.wait_until("the small ones are there", |_| (0..40).all(small));
    assert!(server.wait_for_body_bytes(5 << 20, PATIENCE), "{}", said(dir.path()));
    cluster.cancel(&job);
    let ends = cluster.wait(&job);
    assert!(ends.len() == TASKS && ends.iter().any(|end| end.starts_with("CANCELLED")), "{ends:?}");
    assert!(server.wait_until_idle(PATIENCE));
    assert!(dir.path().join("data/big.part.ckpt").exists(), "{}", said(dir.path()));
    (0..40).for_each(|n| assert_whole(dir.path(), &format!("/{n}"), &object(n)));
    let asked = server.log();
    for path in &paths[..40] {
        assert_eq!(asked.iter().filter(|seen| seen.path == *path).count(), 1, "{path}");
    }

    let before = server.body_bytes();
    let job = cluster.submit(&script);
    assert_eq!(cluster.wait(&job), vec!["COMPLETED 0:0"; TASKS], "{}", said(dir.path()));
    assert_whole(dir.path(), "/big", &big);
    let rest = server.body_bytes() - before;
    // What was sent need not have been read.
    assert!(rest < big.len - (1 << 20), "{rest} bytes, though half of it had been sent");
}

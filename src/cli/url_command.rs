//! `--url-command`: a command that prints a fresh URL of the object. What it prints is a secret, as any URL is, and what it
//! says on stderr is its user's to read.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::args::Secret;
use super::exit::{ExitCode, Failure};
use super::run::run_to_end;

/// So long a command may take: it may have to ask somebody, and people.
const PATIENCE: Duration = Duration::from_secs(60);
/// No URL is longer.
const LONGEST: u64 = 64 << 10;

/// Asks it whenever a URL is needed.
pub(crate) fn asker(
    command: &Secret,
) -> impl Fn() -> futures::future::BoxFuture<'static, io::Result<String>> + Send + Sync + 'static {
    let command = command.clone();
    move || Box::pin(ask(command.clone(), PATIENCE))
}

/// The URL to begin with, where none was given.
pub(crate) fn first_url(command: &Secret) -> Result<Secret, Failure> {
    let command = command.clone();
    run_to_end(async {
        let asked = ask(command, PATIENCE).await;
        asked.map(Secret).map_err(|error| Failure::new(ExitCode::Local, error.to_string()))
    })
}

/// By the shell, as users of such options write them. Whoever stops waiting ends it.
async fn ask(Secret(command): Secret, patience: Duration) -> io::Result<String> {
    let failed = |why: String| io::Error::other(format!("the URL command {why}"));
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot be run by sh: {error}")))?;
    let mut printed = Vec::new();
    let work = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LONGEST).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let ended = timeout(patience, work).await;
    let status = ended.map_err(|_| failed(format!("took longer than {} s", patience.as_secs())))??;
    if !status.success() {
        return Err(failed(format!("failed: {status}")));
    }
    let text =
        String::from_utf8(printed).map_err(|_| failed("printed something that is no URL".to_owned()))?;
    match text.trim() {
        "" => Err(failed("printed nothing".to_owned())),
        url if url.contains(char::is_whitespace) => Err(failed("printed more than one URL".to_owned())),
        url => Ok(url.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(command: &str) -> Result<String, String> {
        let patience = Duration::from_millis(if command.starts_with("sleep") { 50 } else { 60_000 });
        ask(Secret(command.to_owned()), patience).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_it_prints_is_the_url_and_a_failure_says_what_was_wrong() {
        assert_eq!(asked("printf 'http://h/x?a=%s\\n\\n' 1").await, Ok("http://h/x?a=1".to_owned()));
        for (command, said) in [
            ("exit 3", "failed: exit status: 3"),
            ("kill -9 $$", "failed: signal: 9"),
            ("echo http://h/x; exit 1", "failed"),
            ("true", "printed nothing"),
            ("echo; echo", "printed nothing"),
            ("echo http://h/hunter2; echo http://h/y", "more than one"),
            ("printf '\\377'", "no URL"),
            ("sleep 60", "took longer"),
            ("haul-has-no-such-command 2>/dev/null", "failed: exit status: 127"),
        ] {
            let failure = asked(command).await.unwrap_err();
            assert!(failure.contains(said) && !failure.contains("hunter2"), "{command}: {failure}");
        }
    }
}

//! Progress as a person sees it, on stderr: a bar that is redrawn, or a line now and then.

use std::time::{Duration, Instant};

use haul::Progress;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

use super::resolve::ProgressStyle;
use super::{human, messages, output};

/// How often there is a line in a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Columns for a name: beside the bar and the numbers on a terminal of 80.
const NAME_WIDTH: usize = 24;

/// What shows the progress of one download.
#[derive(Debug)]
pub(crate) enum Screen {
    Bar {
        bar: ProgressBar,
        color: bool,
        /// Whether the bar knows where it ends. Starts unknown, as the object is.
        measured: bool,
    },
    Plain {
        last: Instant,
    },
    Off,
}

impl Screen {
    pub(crate) fn new(style: ProgressStyle) -> Self {
        match style {
            ProgressStyle::Bar { color } => {
                let bar = ProgressBar::no_length().with_style(bar_style(false, color));
                Self::Bar { bar, color, measured: false }
            }
            ProgressStyle::Plain => Self::Plain { last: Instant::now() },
            ProgressStyle::None => Self::Off,
        }
    }

    /// Called several times a second, whether or not something changed: the spinner turns.
    pub(crate) fn update(&mut self, label: &str, progress: &Progress, now: Instant) {
        match self {
            Self::Bar { bar, color, measured } => {
                measure(bar, measured, progress.total, *color);
                bar.set_position(progress.in_place);
                let name = human::shortened(label, NAME_WIDTH);
                bar.set_message(format!("{name}  {}", messages::progress(progress)));
                bar.tick();
            }
            Self::Plain { last } if now.duration_since(*last) >= PLAIN_INTERVAL => {
                *last = now;
                output::stderr(&format!("{label}: {}", messages::progress(progress)));
            }
            Self::Plain { .. } | Self::Off => {}
        }
    }

    /// The same for several downloads, of which so many have ended.
    pub(crate) fn update_all(&mut self, ended: usize, count: Option<usize>, line: String, now: Instant) {
        match self {
            Self::Bar { bar, color, measured } => {
                measure(bar, measured, count.map(|count| count as u64), *color);
                bar.set_position(ended as u64);
                bar.set_message(line);
                bar.tick();
            }
            Self::Plain { last } if now.duration_since(*last) >= PLAIN_INTERVAL => {
                *last = now;
                output::stderr(&line);
            }
            Self::Plain { .. } | Self::Off => {}
        }
    }

    /// Does something that writes to the terminal, with the bar out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Bar { bar, .. } => bar.suspend(write),
            Self::Plain { .. } | Self::Off => write(),
        }
    }

    /// Takes the bar away: what comes now is final.
    pub(crate) fn close(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

/// Gives the bar its end, where that is known.
fn measure(bar: &ProgressBar, measured: &mut bool, total: Option<u64>, color: bool) {
    if *measured != total.is_some() {
        *measured = total.is_some();
        bar.set_style(bar_style(*measured, color));
    }
    total.into_iter().for_each(|total| bar.set_length(total));
}

/// The message comes last and is cut at the terminal's edge, so that the line never wraps, however narrow.
fn bar_style(measured: bool, color: bool) -> BarStyle {
    let template = match (measured, color) {
        (true, true) => "{bar:20.cyan/dim} {wide_msg}",
        (true, false) => "{bar:20} {wide_msg}",
        (false, true) => "{spinner:.cyan} {wide_msg}",
        (false, false) => "{spinner} {wide_msg}",
    };
    BarStyle::with_template(template)
        .expect("the template is one of four that the tests try")
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::Phase;
    use indicatif::{ProgressDrawTarget, TermLike};
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A terminal of some columns that remembers what was written.
    #[derive(Clone, Debug)]
    struct Paper(u16, Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            self.0
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.1.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.1.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn drawn(columns: u16, progress: &Progress) -> String {
        let paper = Paper(columns, Arc::default());
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bar = ProgressBar::with_draw_target(None, target).with_style(bar_style(false, false));
        let mut screen = Screen::Bar { bar, color: false, measured: false };
        screen.update("a-rather-long-name-of-a-disk.img", progress, Instant::now());
        paper.1.lock().unwrap().trim_end().to_owned()
    }

    #[test]
    fn every_template_is_one() {
        for (measured, color) in [(true, true), (true, false), (false, true), (false, false)] {
            bar_style(measured, color);
        }
    }

    #[test]
    fn the_bar_stays_on_one_line_however_narrow_the_terminal() {
        let progress =
            Progress { phase: Phase::Fetching, in_place: 5 << 20, rate: 1e6, ..Progress::default() };
        for total in [None, Some(10 << 20)] {
            for columns in [200, 80, 40, 21] {
                let line = drawn(columns, &Progress { total, ..progress });
                assert!(
                    (1..=usize::from(columns)).contains(&line.chars().count()),
                    "{columns} columns: {line:?}"
                );
            }
        }
        let wide = drawn(200, &Progress { total: Some(10 << 20), ..progress });
        assert!(wide.contains("a-rather-lon…-a-disk.img  5.0 MiB of 10.0 MiB (50 %)"), "{wide:?}");
    }
}

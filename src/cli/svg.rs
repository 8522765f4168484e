//! A curve of goodput as a picture: SVG 1.1 with axes, and nothing that has to be loaded. Pure.

use std::fmt::Write as _;

use super::chart::Bar;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// The frame's distances from the picture's edges.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#444}.t{font-size:14px;fill:#111}\
.g{stroke:#ddd}.a{stroke:#888}.c{fill:none;stroke:#1666b0;stroke-width:2}.p{fill:#1666b0}\
.k{stroke:#c2410c;stroke-dasharray:4 3}.n{fill:#c2410c}";

/// The whole picture. `title` may be anything.
pub(crate) fn picture(title: &str, points: &[Bar]) -> String {
    let scale = Scale::of(points);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, LEFT, 24.0, "t", "start", title);
    axes(&mut svg, &scale, points);
    let line: Vec<String> = points.iter().map(|point| scale.place(point)).collect();
    let _ = writeln!(svg, "<polyline class=\"c\" points=\"{}\"/>", line.join(" "));
    for point in points {
        let (x, y) = (scale.x(point.jobs), scale.y(point.rate));
        let _ = writeln!(svg, "<circle class=\"p\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        if point.knee {
            let bottom = HEIGHT - BOTTOM;
            let _ = writeln!(
                svg,
                "<line class=\"k\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            );
            let (anchor, beside) = if x > WIDTH / 2.0 { ("end", x - 8.0) } else { ("start", x + 8.0) };
            text(&mut svg, beside, bottom - 8.0, "n", anchor, &format!("--jobs {}", point.jobs));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, scale: &Scale, points: &[Bar]) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut at = 0.0;
    while at <= scale.top * 1.0001 {
        let y = scale.y(at * scale.unit);
        let class = if at == 0.0 { "a" } else { "g" };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
        );
        text(svg, LEFT - 8.0, y + 4.0, "", "end", &format!("{}", rounded(at)));
        at += scale.step;
    }
    for point in points {
        text(svg, scale.x(point.jobs), bottom + 18.0, "", "middle", &point.jobs.to_string());
    }
    text(svg, f64::midpoint(LEFT, right), HEIGHT - 12.0, "", "middle", "jobs");
    text(svg, LEFT - 8.0, TOP - 10.0, "", "end", scale.name);
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, said: &str) {
    let said = escaped(said);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{said}</text>"
    );
}

/// Text as XML takes it: controls cannot be said at all there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Ten digits after the point are more than a sum of steps is right by.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Jobs go by their logarithm from left to right, rates from 0 upwards.
#[derive(Debug)]
struct Scale {
    fewest: f64,
    most: f64,
    /// Bytes per second in one unit of the axis.
    unit: f64,
    name: &'static str,
    /// In units.
    step: f64,
    top: f64,
}

impl Scale {
    fn of(points: &[Bar]) -> Self {
        let best = points.iter().map(|point| point.rate).fold(1.0, f64::max);
        let units = ["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"];
        let mut unit = 1.0;
        let mut name = units[0];
        for larger in &units[1..] {
            if best / unit >= 1024.0 {
                (unit, name) = (unit * 1024.0, larger);
            }
        }
        let step = step(best / unit / 5.0);
        let logs = points.iter().map(|point| log(point.jobs));
        let (fewest, most) = (logs.clone().fold(f64::INFINITY, f64::min), logs.fold(0.0, f64::max));
        Self { fewest: fewest.min(most), most, unit, name, step, top: (best / unit / step).ceil() * step }
    }

    fn x(&self, jobs: usize) -> f64 {
        let (left, right) = (LEFT + 24.0, WIDTH - RIGHT - 24.0);
        match self.most - self.fewest {
            0.0 => f64::midpoint(left, right),
            span => left + (right - left) * (log(jobs) - self.fewest) / span,
        }
    }

    fn y(&self, rate: f64) -> f64 {
        let bottom = HEIGHT - BOTTOM;
        bottom - (bottom - TOP) * (rate / self.unit / self.top).clamp(0.0, 1.0)
    }

    fn place(&self, point: &Bar) -> String {
        format!("{:.1},{:.1}", self.x(point.jobs), self.y(point.rate))
    }
}

fn log(jobs: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    (jobs.max(1) as f64).log2()
}

/// The next of 1, 2, 5, 10, 20…: what people count in.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-6).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * 0.9999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rates: &[f64]) -> Vec<Bar> {
        let bar = |(index, rate): (usize, &f64)| Bar { jobs: 1 << index, rate: *rate, knee: index == 1 };
        rates.iter().enumerate().map(bar).collect()
    }

    /// Every element is closed, in the order it should be, and every attribute quoted: as far as we write XML.
    fn assert_well_formed(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg;
        while let Some((before, after)) = rest.split_once('<') {
            assert!(!before.contains('>') || open.last() == Some(&"style"), "{before}");
            let (tag, after) = after.split_once('>').expect("a tag ends");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            match () {
                () if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
                () if tag.ends_with('/') => {}
                () => open.push(name),
            }
            rest = after;
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    }

    #[test]
    fn it_is_well_formed_whatever_is_drawn() {
        for rates in [&[][..], &[0.0], &[5e6], &[1e6, 2e6, 4e6, 4.1e6], &[0.5, 1e20]] {
            let svg = picture("a <b> & \"c\" \u{0}\u{1b}", &of(rates));
            assert_well_formed(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf,"), "{svg}");
            assert_eq!(svg.matches("<circle").count(), rates.len());
        }
        assert!(picture("a <b>", &[]).contains("a &lt;b&gt;"));
    }

    #[test]
    fn everything_is_within_the_frame_and_more_is_higher() {
        let points = of(&[1e6, 2e6, 4e6, 4.1e6]);
        let scale = Scale::of(&points);
        let places: Vec<_> = points.iter().map(|point| (scale.x(point.jobs), scale.y(point.rate))).collect();
        assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1), "{places:?}");
        assert!(
            places
                .iter()
                .all(|(x, y)| (LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=HEIGHT - BOTTOM).contains(y))
        );
        assert_eq!((scale.name, scale.step, scale.top), ("MiB/s", 1.0, 4.0));
    }

    #[test]
    fn steps_are_what_people_count_in() {
        for (least, expected) in [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (4.0, 5.0), (7.0, 10.0), (130.0, 200.0)]
        {
            assert!((step(least) - expected).abs() < 1e-9, "{least}");
        }
    }
}

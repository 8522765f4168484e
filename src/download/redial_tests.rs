use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(50);
const FIRST_BYTE: Duration = Duration::from_millis(50);
const MB: f64 = 1e6;

/// Connections whose rates and silences a test sets, looked at every 50 ms.
struct Link {
    redialer: Redialer,
    now: Duration,
    received: f64,
    /// Bytes per second, since when, and when a byte came last.
    lines: Vec<(f64, Duration, Duration)>,
    left: u64,
    spare: usize,
}

impl Link {
    fn new(rates: &[f64]) -> Self {
        let terms = RedialTerms { silence: SECOND, jobs: rates.len() };
        let lines = rates.iter().map(|rate| (*rate, Duration::ZERO, Duration::ZERO)).collect();
        let (now, received, left, spare) = (Duration::ZERO, 0.0, 100 << 20, 0);
        Self { redialer: Redialer::new(terms), now, received, lines, left, spare }
    }

    /// Goes on for so long; gives who was called off, and when. Who is called off has the rate `then`.
    fn run(&mut self, time: Duration, then: f64) -> Vec<(WorkerId, Duration)> {
        let mut called_off = Vec::new();
        let end = self.now + time;
        while self.now < end {
            self.now += TICK;
            for (rate, _, heard) in &mut self.lines {
                self.received += *rate * TICK.as_secs_f64();
                *heard = if *rate > 0.0 { self.now } else { *heard };
            }
            let lines: Vec<Line> = (0..self.lines.len()).map(|worker| self.line(worker)).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's sum")]
            let received = self.received as u64;
            let (now, spare) = (self.now, self.spare);
            let look = Look { now, received, first_byte: FIRST_BYTE, spare, lines: &lines };
            for worker in self.redialer.judge(look) {
                self.lines[worker] = (then, self.now, self.now);
                called_off.push((worker, self.now));
            }
        }
        called_off
    }

    fn line(&self, worker: WorkerId) -> Line {
        let (rate, since, heard) = self.lines[worker];
        let (silent, age) = (Some(self.now.saturating_sub(heard)), self.now.saturating_sub(since));
        // What is silent has a rate that fades: none to go by.
        Line { worker, silent, answered: true, age, rate: (rate > 0.0).then_some(rate), left: self.left }
    }

    fn all_at(&mut self, rate: f64) {
        self.lines.iter_mut().for_each(|line| line.0 = rate);
    }
}

#[test]
fn connections_alike_are_left_alone() {
    let mut link = Link::new(&[MB, 1.3 * MB, 0.7 * MB, 0.4 * MB, 1.1 * MB, MB, MB, MB]);
    assert_eq!(link.run(60 * SECOND, MB), []);
}

#[test]
fn one_that_is_silent_is_asked_for_again_ever_less_often() {
    let mut link = Link::new(&[MB; 4]);
    link.run(5 * SECOND, MB);
    link.lines[2].0 = 0.0;
    let at: Vec<_> =
        link.run(20 * SECOND, 0.0).into_iter().map(|(worker, at)| (worker, at.as_secs())).collect();
    assert_eq!(at, [(2, 7), (2, 11), (2, 19)]);
}

#[test]
fn in_an_outage_one_after_the_other_is_tried_and_then_all_that_are_silent() {
    let mut link = Link::new(&[MB; 8]);
    link.run(3 * SECOND, MB);
    link.all_at(0.0);
    let tried = link.run(4 * SECOND, 0.0);
    let at: Vec<_> = tried.iter().map(|(_, at)| at.as_millis()).collect();
    assert_eq!(at, [4000, 4500, 5250, 6400], "after a second, and then ever less often");
    let mut who: Vec<_> = tried.iter().map(|(worker, _)| *worker).collect();
    who.dedup();
    assert_eq!(who.len(), 4, "each time another");
    // The one that was tried last gets through.
    link.lines[who[3]].0 = MB;
    let after = link.run(SECOND, MB);
    // Those that were tried less than a second ago may be on their way.
    assert_eq!(after.len(), 7, "{after:?}");
    assert!(after.iter().all(|(worker, at)| *worker != who[3] && *at <= link.now));
}

#[test]
fn who_wakes_up_with_the_link_is_left_alone() {
    let mut link = Link::new(&[MB; 8]);
    link.run(3 * SECOND, MB);
    link.all_at(0.0);
    assert_eq!(link.run(1200 * TICK / 50, 0.0).len(), 1);
    link.all_at(MB);
    assert_eq!(link.run(10 * SECOND, MB), []);
}

#[test]
fn who_is_busy_with_this_machine_is_not_silent() {
    let mut redialer = Redialer::new(RedialTerms { silence: SECOND, jobs: 2 });
    let line = |worker, silent| Line {
        worker,
        silent,
        answered: true,
        age: 9 * SECOND,
        rate: Some(0.0),
        left: 1 << 20,
    };
    let lines = [line(0, Some(5 * SECOND)), line(1, None)];
    let look = Look { now: 9 * SECOND, received: 0, first_byte: FIRST_BYTE, spare: 0, lines: &lines };
    assert_eq!(redialer.judge(look), []);
    assert_eq!(redialer.judge(Look { lines: &lines[..1], ..look }), [0]);
}

#[test]
fn a_server_may_think_before_it_answers() {
    let ask = |silent, answered| {
        let line = Line { worker: 0, silent: Some(silent), answered, age: silent, rate: None, left: 1 << 20 };
        let mut redialer = Redialer::new(RedialTerms { silence: SECOND, jobs: 2 });
        let (now, received, spare) = (9 * SECOND, 0, 0);
        redialer.judge(Look { now, received, first_byte: FIRST_BYTE, spare, lines: &[line] }).len()
    };
    assert_eq!((ask(SECOND, true), ask(SECOND, false), ask(2 * SECOND, false)), (1, 0, 1));
}

#[test]
fn a_slow_one_is_asked_for_again_on_a_budget() {
    let mut link =
        Link::new(&[4.0 * MB, 0.4 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB]);
    assert_eq!(link.run(20 * SECOND, 4.0 * MB).len(), 1, "the next connection is a good one");
    let mut link =
        Link::new(&[4.0 * MB, 0.4 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB]);
    let tried = link.run(20 * SECOND, 0.4 * MB).len();
    assert!((3..=6).contains(&tried), "none is: {tried}");
}

#[test]
fn what_does_good_is_not_charged_to_the_budget() {
    let (fast, slow) = (4.0 * MB, 0.4 * MB);
    let mut link = Link::new(&[fast, slow, fast, slow, fast, slow, fast, fast, fast]);
    let tried = link.run(20 * SECOND, fast);
    assert_eq!(tried.len(), 3, "the second and third when the first has shown that it helps");
    assert!(tried[2].1 < 5 * SECOND, "before the budget grows: {tried:?}");
}

#[test]
fn a_slow_one_that_is_nearly_done_is_left_alone() {
    let mut link = Link::new(&[4.0 * MB, 0.4 * MB, 4.0 * MB, 4.0 * MB]);
    link.left = 100_000;
    assert_eq!(link.run(5 * SECOND, MB), []);
}

#[test]
fn at_the_end_the_others_connections_take_over() {
    let mut link = Link::new(&[4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB]);
    link.run(3 * SECOND, MB);
    link.lines[3].0 = 0.1 * MB;
    (link.spare, link.left) = (1, 200_000);
    let tried = link.run(SECOND, 4.0 * MB);
    assert_eq!(tried.len(), 1);
    assert_eq!(tried[0].0, 3);
    assert_eq!(link.run(SECOND, 4.0 * MB), [], "it is as fast as the others now");
}

#[test]
fn as_many_take_over_as_have_nothing_to_do_and_from_the_slowest() {
    let mut link =
        Link::new(&[4.0 * MB, 0.2 * MB, 4.0 * MB, 0.1 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB, 0.3 * MB]);
    link.left = 100_000;
    assert_eq!(link.run(2 * SECOND, 4.0 * MB), []);
    link.left = 2_000_000;
    let lines: Vec<Line> = (0..8).map(|worker| link.line(worker)).collect();
    let look = Look { now: link.now, received: 1 << 30, first_byte: FIRST_BYTE, spare: 2, lines: &lines };
    assert_eq!(link.redialer.judge(look), [3, 1]);
}

#[test]
fn who_is_left_at_the_end_says_nothing_of_what_a_connection_does() {
    let mut link = Link::new(&[4.0 * MB, 4.0 * MB, 4.0 * MB, 0.5 * MB, 0.5 * MB, 0.5 * MB]);
    link.left = 400_000;
    assert_eq!(link.run(3 * SECOND, MB), []);
    // The fast ones are done.
    (link.lines, link.spare) = (link.lines.split_off(3), 3);
    link.left = 2_000_000;
    assert_eq!(link.run(SECOND / 2, 4.0 * MB).len(), 3);
}

#[test]
fn who_stays_slow_at_the_end_is_asked_for_again_ever_less_often() {
    let mut link = Link::new(&[4.0 * MB, 4.0 * MB, 4.0 * MB, 4.0 * MB]);
    link.run(3 * SECOND, MB);
    link.lines[3].0 = 0.1 * MB;
    (link.spare, link.left) = (1, 2_000_000);
    let tried = link.run(60 * SECOND, 0.1 * MB).len();
    assert!((5..=9).contains(&tried), "{tried}");
}

/// One that has answered.
fn line(worker: WorkerId, age: Duration, silent: Duration, rate: f64, left: u64) -> Line {
    Line { worker, silent: Some(silent), answered: true, age, rate: Some(rate), left }
}

/// Knows that a connection does a megabyte a second.
fn redialer() -> Redialer {
    let mut redialer = Redialer::new(RedialTerms { silence: SECOND, jobs: 4 });
    redialer.typical = MB;
    redialer
}

/// Looks at that time, when a byte has just come.
fn look_at(redialer: &mut Redialer, now: Duration, first_byte: Duration, lines: &[Line]) -> Vec<WorkerId> {
    let received = redialer.received + 1;
    redialer.judge(Look { now, received, first_byte, spare: 0, lines })
}

const MUCH: u64 = 100 << 20;

#[test]
fn who_has_just_begun_says_nothing_of_what_a_connection_does() {
    let mut redialer = redialer();
    redialer.typical = 0.0;
    let old = [0, 1, 2].map(|worker| line(worker, SECOND + TICK, TICK, MB, MUCH));
    let young = [3, 4, 5, 6].map(|worker| line(worker, SECOND, TICK, MB / 100.0, MUCH));
    look_at(&mut redialer, SECOND, FIRST_BYTE, &[&old[..], &young].concat());
    assert!((redialer.typical - MB).abs() < 1.0, "{}", redialer.typical);
}

#[test]
fn only_who_has_spoken_for_a_while_has_done_well() {
    for (age, silent, rate, well) in [
        (SECOND, TICK, MB, false),
        (SECOND + TICK, TICK, MB, true),
        (2 * SECOND, SECOND, MB, false),
        (2 * SECOND, TICK, MB / 4.0, true),
        (2 * SECOND, TICK, MB / 4.1, false),
    ] {
        let mut redialer = redialer();
        redialer.in_vain.insert(0, 1);
        look_at(&mut redialer, SECOND, FIRST_BYTE, &[line(0, age, silent, rate, MUCH)]);
        assert_eq!(redialer.in_vain.contains_key(&0), !well, "{age:?}, {silent:?}, {rate}");
    }
}

#[test]
fn who_is_slow_has_shown_it_speaks_and_would_be_long_at_it() {
    let (quarter, less, far) = (SECOND / 4, Duration::from_millis(249), SECOND / 5);
    for (age, silent, rate, left, first_byte, slow) in [
        (SECOND, TICK, MB / 10.0, MUCH, FIRST_BYTE, false),
        (SECOND + TICK, TICK, MB / 10.0, MUCH, FIRST_BYTE, true),
        // A far host shows it later.
        (2 * SECOND, TICK, MB / 10.0, MUCH, far, false),
        (2 * SECOND + TICK, TICK, MB / 10.0, MUCH, far, true),
        // Who pauses is another matter.
        (2 * SECOND, quarter, MB / 10.0, MUCH, FIRST_BYTE, false),
        (2 * SECOND, less, MB / 10.0, MUCH, FIRST_BYTE, true),
        // A quarter of what is typical is not far from it.
        (2 * SECOND, TICK, MB / 4.0, MUCH, FIRST_BYTE, false),
        (2 * SECOND, TICK, MB / 4.1, MUCH, FIRST_BYTE, true),
        // 2.5 s are twice what another would take with the second that it takes to show it.
        (2 * SECOND, TICK, MB / 10.0, 250_000, FIRST_BYTE, false),
        (2 * SECOND, TICK, MB / 10.0, 260_000, FIRST_BYTE, true),
    ] {
        let called_off = look_at(&mut redialer(), SECOND, first_byte, &[line(0, age, silent, rate, left)]);
        assert_eq!(called_off, [0][..usize::from(slow)], "{age:?}, {silent:?}, {rate}, {left}");
    }
}

#[test]
fn the_budget_for_slow_ones_grows_every_five_silences() {
    let mut redialer = redialer();
    for (now, budget) in [(5 * SECOND, 1), (5 * SECOND + TICK, 2), (10 * SECOND, 2), (11 * SECOND, 3)] {
        look_at(&mut redialer, now, FIRST_BYTE, &[]);
        assert_eq!(redialer.budget, budget, "{now:?}");
    }
}

#[test]
fn a_far_host_may_be_silent_for_longer() {
    let mut redialer = redialer();
    let silent = SECOND + SECOND / 2;
    let lines = [0, 1].map(|worker| line(worker, 9 * SECOND, silent, MB, MUCH));
    look_at(&mut redialer, SECOND, SECOND / 2, &[]);
    let look = |now| Look { now, received: 1, first_byte: SECOND / 2, spare: 0, lines: &lines };
    assert_eq!(redialer.judge(look(SECOND + silent)), []);
}

#[test]
fn after_an_outage_those_who_are_silent_have_an_eighth_of_a_second_more() {
    let mut redialer = redialer();
    redialer.outage = true;
    let lines = [line(0, 9 * SECOND, 5 * SECOND, MB, MUCH), line(1, 9 * SECOND, TICK, MB, MUCH)];
    let mut at = |millis| look_at(&mut redialer, Duration::from_millis(millis), FIRST_BYTE, &lines);
    assert_eq!((at(10_000), at(10_124), at(10_125)), (vec![], vec![], vec![0]));
}

#[test]
fn at_the_end_who_has_just_begun_is_left_alone_for_three_first_bytes() {
    for (age, called_off) in [(300, vec![]), (301, vec![0])] {
        let line = line(0, Duration::from_millis(age), TICK, MB / 10.0, 10 << 20);
        let look = Look { now: SECOND, received: 1, first_byte: SECOND / 10, spare: 1, lines: &[line] };
        assert_eq!(redialer().judge(look), called_off, "{age}");
    }
}

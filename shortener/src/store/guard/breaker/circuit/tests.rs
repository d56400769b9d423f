//! The circuit by itself: cases, and what holds whatever happens.

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    window: Duration::from_secs(10),
    calls_min: 4,
    bad_percent: 50,
    probes: NonZeroU32::new(2).unwrap(),
    pause_min: Duration::from_millis(200),
    pause_max: Duration::from_millis(800),
};

/// A circuit, and the moment it is.
struct Scene {
    circuit: Circuit,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        Scene { circuit: Circuit::new(SETTINGS, now), now }
    }

    fn opened() -> Self {
        let mut scene = Scene::new();
        scene.calls(Verdict::Bad, 4);
        assert_eq!(scene.circuit.state(), State::Open);
        scene
    }

    fn half_open() -> Self {
        let mut scene = Scene::opened();
        scene.wait(SETTINGS.pause_max);
        let probe = scene.admit().unwrap();
        scene.end(probe, Verdict::Unknown);
        assert_eq!(scene.circuit.state(), State::HalfOpen);
        scene
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    fn admit(&mut self) -> Option<Ticket> {
        self.circuit.admit(self.now)
    }

    fn end(&mut self, ticket: Ticket, verdict: Verdict) -> State {
        self.circuit.ended(ticket, verdict, self.now);
        self.circuit.state()
    }

    /// Calls, one after the other.
    fn calls(&mut self, verdict: Verdict, count: usize) -> State {
        for _ in 0..count {
            let ticket = self.admit().expect("let through");
            self.end(ticket, verdict);
        }
        self.circuit.state()
    }
}

/// Seen to fail when the share was of all calls ever, and without the least number of calls.
#[test]
fn it_opens_on_a_share_of_enough_calls_of_late() {
    use Verdict::{Bad, Good};
    for (good, bad, state) in [(0, 3, State::Closed), (5, 4, State::Closed), (4, 4, State::Open), (0, 4, State::Open)] {
        let mut scene = Scene::new();
        scene.calls(Good, good);
        assert_eq!(scene.calls(Bad, bad), state, "{good} good, {bad} bad");
    }
    let mut scene = Scene::new();
    scene.calls(Good, 1_000);
    scene.wait(SETTINGS.window);
    assert_eq!(scene.calls(Bad, 4), State::Open, "what is long past does not count");
}

/// Seen to fail when each end of a call was reason enough to open.
#[test]
fn a_good_call_never_opens_it() {
    let mut scene = Scene::new();
    scene.calls(Verdict::Bad, 3);
    assert_eq!(scene.calls(Verdict::Good, 3), State::Closed);
    assert_eq!(scene.calls(Verdict::Bad, 1), State::Open);
}

/// Seen to fail when a call that was given up counted as a bad one.
#[test]
fn a_caller_that_goes_away_says_nothing() {
    assert_eq!(Scene::new().calls(Verdict::Unknown, 100), State::Closed);
    let mut half_open = Scene::half_open();
    assert_eq!(half_open.calls(Verdict::Unknown, 100), State::HalfOpen, "and its place is free again");
    assert_eq!(half_open.calls(Verdict::Good, 2), State::Closed);
}

/// Seen to fail when what had been let through before the circuit opened could close it or open it again.
#[test]
fn what_was_begun_earlier_says_nothing() {
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Unknown] {
        let mut scene = Scene::new();
        let early: Vec<_> = (0..10).map(|_| scene.admit().unwrap()).collect();
        scene.calls(Verdict::Bad, 4);
        scene.wait(SETTINGS.pause_max);
        let probes = [scene.admit().unwrap(), scene.admit().unwrap()];
        for ticket in early {
            assert_eq!(scene.end(ticket, verdict), State::HalfOpen);
        }
        assert!(scene.admit().is_none(), "no more than so many probes");
        assert_eq!(probes.map(|probe| scene.end(probe, Verdict::Good)), [State::HalfOpen, State::Closed]);
    }
}

/// Seen to fail when one good probe closed it, and when more probes were let through than asked for.
#[test]
fn probes_are_bounded_and_all_of_them_must_be_good() {
    let mut scene = Scene::half_open();
    let probe = scene.admit().unwrap();
    assert_eq!(scene.calls(Verdict::Good, 1), State::HalfOpen);
    assert!(scene.admit().is_none());
    assert_eq!(scene.end(probe, Verdict::Good), State::Closed);
    assert_eq!(Scene::half_open().calls(Verdict::Bad, 1), State::Open);
}

/// How long it is until a circuit that has just opened lets a call through.
fn pause(scene: &mut Scene) -> Duration {
    let opened = scene.now;
    loop {
        scene.wait(Duration::from_millis(1));
        if let Some(probe) = scene.admit() {
            scene.end(probe, Verdict::Unknown);
            return scene.now - opened;
        }
    }
}

/// Seen to fail when the pause stayed as it was, when it grew without an end, and when it did not start small again.
#[test]
fn pauses_grow_to_the_longest_and_start_again() {
    let mut scene = Scene::opened();
    for full in [200, 400, 800, 800, 800].map(Duration::from_millis) {
        let paused = pause(&mut scene);
        assert!((full / 2..=full + Duration::from_millis(1)).contains(&paused), "{paused:?} of {full:?}");
        scene.calls(Verdict::Bad, 1);
    }
    pause(&mut scene);
    scene.calls(Verdict::Good, 2);
    scene.calls(Verdict::Bad, 4);
    assert!(pause(&mut scene) <= SETTINGS.pause_min + Duration::from_millis(1));
}

#[derive(Debug, Clone)]
enum Step {
    Call,
    End(prop::sample::Index, Verdict),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![Just(Verdict::Good), Just(Verdict::Bad), Just(Verdict::Unknown)];
    prop_oneof![
        4 => Just(Step::Call),
        4 => (any::<prop::sample::Index>(), verdict).prop_map(|(which, verdict)| Step::End(which, verdict)),
        1 => (0u64..1_500).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever calls come, end and are given up, in whatever order: an open circuit lets none through before its pause is over
    /// and one through when it is; half open, no more than so many probes are under way or were good; and good probes close it.
    /// Seen to fail when a probe that was given up kept its place, when an earlier call's end freed one, and when the pause was
    /// not waited for.
    #[test]
    fn whatever_happens_probes_are_bounded_and_it_recovers(steps in prop::collection::vec(step(), 1..300)) {
        let mut scene = Scene::new();
        let mut under_way: Vec<(Ticket, u64)> = Vec::new();
        let (mut opened_at, mut good) = (None, 0);
        for step in steps {
            let before = scene.circuit.state();
            match step {
                Step::Wait(ms) => scene.wait(Duration::from_millis(ms)),
                Step::Call => {
                    let admitted = scene.admit();
                    if let (State::Open, Some(at)) = (before, opened_at) {
                        let paused = scene.now - at;
                        prop_assert!(admitted.is_none() || paused >= SETTINGS.pause_min / 2, "too early: {paused:?}");
                        prop_assert!(admitted.is_some() || paused < SETTINGS.pause_max, "too late: {paused:?}");
                    }
                    prop_assert!(admitted.is_some() || before != State::Closed);
                    under_way.extend(admitted.map(|ticket| (ticket, scene.circuit.epoch)));
                }
                Step::End(_, _) if under_way.is_empty() => {}
                Step::End(which, verdict) => {
                    let (ticket, epoch) = under_way.swap_remove(which.index(under_way.len()));
                    good += usize::from(verdict == Verdict::Good && epoch == scene.circuit.epoch);
                    scene.end(ticket, verdict);
                }
            }
            let after = scene.circuit.state();
            if after != before {
                good = 0;
                opened_at = (after == State::Open).then_some(scene.now);
            }
            if after == State::HalfOpen {
                let probes = under_way.iter().filter(|(_, epoch)| *epoch == scene.circuit.epoch).count();
                prop_assert!(probes + good <= SETTINGS.probes.get() as usize, "{probes} under way, {good} good");
            }
        }
        for (ticket, _) in under_way {
            scene.end(ticket, Verdict::Unknown);
        }
        scene.wait(SETTINGS.pause_max);
        prop_assert_eq!(scene.calls(Verdict::Good, SETTINGS.probes.get() as usize), State::Closed);
    }
}

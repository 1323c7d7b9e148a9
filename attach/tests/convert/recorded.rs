//! Recording a program, and asking what its stacks say.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use loopscope_attach::Error;
use loopscope_attach::sampler::convert::{Conversion, Converter, Note};
use loopscope_attach::sampler::event::Event;
use loopscope_attach::sampler::recorder::{RecordOptions, Recorder, Target};
use model::profile::{Frame, Profile, Recording, Thread};

use super::programs::{Program, missing};

/// Records a program until it ends; `None`, after saying so, where this user may not record.
pub(crate) fn record(program: &Program, arguments: &[&str]) -> Option<Recorded> {
    record_with(program, arguments, &RecordOptions::default())
}

pub(crate) fn record_with(
    program: &Program,
    arguments: &[&str],
    options: &RecordOptions,
) -> Option<Recorded> {
    record_command(program.path.as_os_str(), arguments, options)
}

pub(crate) fn record_command(
    program: &OsStr,
    arguments: &[&str],
    options: &RecordOptions,
) -> Option<Recorded> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let mut recorder = match Recorder::launch(program, &arguments, options) {
        Ok(recorder) => recorder,
        Err(error @ (Error::NotPermitted { .. } | Error::NoPerfEvents { .. })) => {
            missing(&error.to_string());
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let mut converter = Converter::new(Recording { started: recorder.started(), ..Recording::default() });
    let mut convert = |event: Event<'_>| converter.event(&event);
    while recorder.poll(Duration::from_millis(100), &mut convert).unwrap() == Target::Runs {}
    let mut launched = recorder.finish(&mut convert).unwrap().launched.unwrap();
    assert_eq!(launched.wait().unwrap().exit.shell_status(), 0);
    Some(Recorded(converter.finish()))
}

/// What was recorded.
pub(crate) struct Recorded(Conversion);

/// A stack with the thread that it was taken of, its frames from the outermost to the innermost.
pub(crate) struct Stack<'a> {
    pub(crate) thread: Thread,
    pub(crate) names: Vec<&'a str>,
    pub(crate) frames: Vec<Frame>,
}

impl Recorded {
    pub(crate) fn profile(&self) -> &Profile {
        &self.0.profile
    }

    pub(crate) fn notes(&self) -> &[Note] {
        &self.0.notes
    }

    pub(crate) fn stacks(&self) -> impl Iterator<Item = Stack<'_>> {
        let profile = self.profile();
        profile.samples.iter().map(|sample| {
            let frames: Vec<Frame> =
                profile.frames_of(sample.stack).into_iter().map(|id| profile.frames.get(id)).collect();
            let names = frames.iter().map(|frame| profile.text(frame.function)).collect();
            Stack { thread: profile.threads[sample.thread.0 as usize], names, frames }
        })
    }

    /// The share of the stacks with the function `inner` on them that have all of `outer` on them, in this order,
    /// outside of it.
    #[track_caller]
    pub(crate) fn expect_nesting(&self, outer: &[&str], inner: &str) {
        let with_inner: Vec<Stack<'_>> = self.stacks().filter(|stack| stack.names.contains(&inner)).collect();
        let nests = |stack: &&Stack<'_>| {
            let mut expected = outer.iter().chain([&inner]).peekable();
            for name in &stack.names {
                expected.next_if(|expected| *expected == name);
            }
            expected.peek().is_none()
        };
        let nested = with_inner.iter().filter(nests).count();
        assert!(with_inner.len() >= 20, "{inner} is on {} stacks only\n{}", with_inner.len(), self.text());
        // A signal or interrupt at a bad moment costs a stack now and then.
        let share = nested as f64 / with_inner.len() as f64;
        assert!(share > 0.98, "{outer:?} are outside of {inner} on {share} of its stacks\n{}", self.text());
    }

    /// What was recorded, for a failing test to show.
    pub(crate) fn text(&self) -> String {
        let count = self.profile().samples.len();
        let some = self.stacks().step_by(1 + count / 40).map(|stack| stack.names.join(";") + "\n");
        format!("{count} samples, {:?}, {:?}\n", self.profile().losses, self.notes())
            + &some.collect::<String>()
    }
}

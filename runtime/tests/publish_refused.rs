//! Where there is no memory to share, everything works, unpublished, and the program can learn why.
//!
//! Nothing measures in these processes before the test does: no counting allocator here.

mod support;

use std::process;

use loopscope_runtime::observe::publish::{Publication, Unpublished, contents, keep_private, publication};
use support::{in_child, segment_of};

/// Makes the segment under a limit of 0, and gives the reason for which it is not shared.
fn reason_under(limit: impl FnOnce() -> sys::Lowered) -> &'static Unpublished {
    let lowered = limit();
    let publication = publication();
    drop(lowered);
    assert!(segment_of(process::id()).is_none(), "nothing to be found");
    assert_eq!(contents().scopes.len(), 1, "the process can read itself all the same");
    match publication {
        Publication::Unpublished(reason) => reason,
        published => panic!("{published:?}"),
    }
}

#[test]
fn telemetry_can_be_turned_off() {
    in_child("telemetry_can_be_turned_off", &[("LOOPSCOPE_TELEMETRY", "off")], || {
        let reason = reason_under(sys::Lowered::nothing);
        assert!(matches!(reason, Unpublished::TurnedOff), "{reason:?}");
        assert_eq!(reason.to_string(), "turned off by LOOPSCOPE_TELEMETRY=off");
    });
}

#[test]
fn a_program_can_keep_its_telemetry() {
    in_child("a_program_can_keep_its_telemetry", &[], || {
        keep_private();
        let reason = reason_under(sys::Lowered::nothing);
        assert!(matches!(reason, Unpublished::Kept), "{reason:?}");
    });
}

#[test]
fn a_limit_of_open_files_is_survived_and_told() {
    in_child("a_limit_of_open_files_is_survived_and_told", &[], || {
        let reason = reason_under(|| sys::Lowered::to_nothing(libc::RLIMIT_NOFILE));
        assert!(matches!(reason, Unpublished::Refused { call: "memfd_create", .. }), "{reason:?}");
        assert!(reason.to_string().contains("Too many open files"), "{reason}");
    });
}

#[test]
fn a_limit_of_file_sizes_does_not_kill_the_program() {
    in_child("a_limit_of_file_sizes_does_not_kill_the_program", &[], || {
        let reason = reason_under(|| sys::Lowered::to_nothing(libc::RLIMIT_FSIZE));
        assert!(matches!(reason, Unpublished::FileSizeLimit { limit: 0, .. }), "{reason:?}");
        assert!(reason.to_string().contains("ulimit -f"), "{reason}");
    });
}

mod sys {
    #![allow(unsafe_code, reason = "system calls")]

    /// A limit of this process that is lowered for as long as this lives.
    pub(crate) struct Lowered(Option<(libc::__rlimit_resource_t, libc::rlimit)>);

    impl Lowered {
        pub(crate) fn nothing() -> Self {
            Self(None)
        }

        pub(crate) fn to_nothing(resource: libc::__rlimit_resource_t) -> Self {
            let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `before` is a valid place for the answer.
            assert_eq!(unsafe { libc::getrlimit(resource, &mut before) }, 0);
            set(resource, libc::rlimit { rlim_cur: 0, ..before });
            Self(Some((resource, before)))
        }
    }

    impl Drop for Lowered {
        fn drop(&mut self) {
            if let Some((resource, before)) = self.0 {
                set(resource, before);
            }
        }
    }

    fn set(resource: libc::__rlimit_resource_t, limit: libc::rlimit) {
        // SAFETY: `limit` outlives the call.
        assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
    }
}

//! Looking up names on the thread pool. Only what every host knows without a network is asked for.

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use loopscope_runtime::dns::{self, DnsError, DnsErrorCause, Family, NameOptions, Names};
use loopscope_runtime::pool::{Pool, TaskError};
use loopscope_runtime::{EventLoop, RunMode, TaskKind};
use support::{Gate, wait_until};

fn look_up(host: &str, family: Family) -> Result<Vec<SocketAddr>, DnsError> {
    let event_loop = EventLoop::new().unwrap();
    let result = Rc::new(RefCell::new(None));
    let filled = Rc::clone(&result);
    dns::getaddrinfo(&event_loop, host, 443, family, move |_, found| *filled.borrow_mut() = Some(found));
    assert!(result.borrow().is_none(), "never before the loop runs");
    event_loop.run(RunMode::Default);
    result.take().expect("called back")
}

#[test]
fn localhost_is_this_host() {
    let addresses = look_up("localhost", Family::Any).unwrap();
    assert!(!addresses.is_empty());
    assert!(
        addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 443),
        "{addresses:?}"
    );
}

#[test]
fn each_address_comes_once() {
    let addresses = look_up("localhost", Family::V4).unwrap();
    assert_eq!(addresses.iter().filter(|address| address.ip().to_string() == "127.0.0.1").count(), 1);
    assert!(addresses.iter().all(SocketAddr::is_ipv4));
}

#[test]
fn an_address_is_its_own_answer_in_both_families() {
    assert_eq!(look_up("192.0.2.7", Family::Any).unwrap(), ["192.0.2.7:443".parse().unwrap()]);
    assert_eq!(look_up("2001:db8::7", Family::V6).unwrap(), ["[2001:db8::7]:443".parse().unwrap()]);
}

#[test]
fn the_scope_of_an_address_is_kept() {
    let addresses = look_up("fe80::1%lo", Family::V6).unwrap();
    let SocketAddr::V6(address) = addresses[0] else { panic!("{addresses:?}") };
    assert_eq!(address.scope_id(), 1, "the loopback interface is the first");
}

#[test]
fn a_host_that_does_not_exist_gives_the_resolver_s_reason() {
    // An address of the other family needs no server to be refused.
    let error = look_up("192.0.2.7", Family::V6).unwrap_err();
    assert_eq!(error.host(), "192.0.2.7");
    assert!(matches!(error.cause(), DnsErrorCause::Resolver { .. }), "{error:?}");
    assert!(error.to_string().starts_with("look-up of \"192.0.2.7\": "), "{error}");
}

#[test]
fn a_name_with_a_zero_byte_is_refused() {
    let error = look_up("local\0host", Family::Any).unwrap_err();
    assert_eq!(*error.cause(), DnsErrorCause::ZeroInName);
}

#[test]
fn a_look_up_that_waits_can_be_cancelled() {
    let pool = Pool::builder().threads(1).build().unwrap();
    let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
    let gate = Gate::default();
    let of_work = gate.clone();
    event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    wait_until("the thread is busy", || gate.waiting() == 1);
    let request = dns::getaddrinfo(&event_loop, "localhost", 1, Family::Any, |_, result| {
        assert_eq!(*result.unwrap_err().cause(), DnsErrorCause::Task(TaskError::Cancelled));
    });
    assert_eq!(request.cancel(), Ok(()));
    gate.open();
    event_loop.run(RunMode::Default);
}

fn names_of(address: &str, options: NameOptions) -> Result<Names, DnsError> {
    let event_loop = EventLoop::new().unwrap();
    let result = Rc::new(RefCell::new(None));
    let filled = Rc::clone(&result);
    dns::getnameinfo(&event_loop, address.parse().unwrap(), options, move |_, names| {
        *filled.borrow_mut() = Some(names);
    });
    event_loop.run(RunMode::Default);
    result.take().expect("called back")
}

#[test]
fn this_host_has_a_name() {
    let names =
        names_of("127.0.0.1:0", NameOptions { name_required: true, ..NameOptions::default() }).unwrap();
    assert_eq!(names.host, "localhost");
}

#[test]
fn names_are_told_in_digits_if_that_is_asked_for() {
    let digits = NameOptions { numeric_host: true, numeric_service: true, ..NameOptions::default() };
    let names = |host: &str, service: &str| Names { host: host.to_owned(), service: service.to_owned() };
    assert_eq!(names_of("192.0.2.7:443", digits), Ok(names("192.0.2.7", "443")));
    assert_eq!(names_of("[2001:db8::7]:8080", digits), Ok(names("2001:db8::7", "8080")));
}

#[test]
fn an_address_without_a_name_is_an_error_only_if_a_name_is_required() {
    let required = NameOptions { numeric_host: true, name_required: true, ..NameOptions::default() };
    let error = names_of("192.0.2.7:1", required).unwrap_err();
    assert_eq!(error.host(), "192.0.2.7:1");
    assert!(matches!(error.cause(), DnsErrorCause::Resolver { code: libc::EAI_NONAME, .. }), "{error}");
}

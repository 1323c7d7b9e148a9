//! What takes the place of a Pyroscope: it listens, reads what is pushed, and answers as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::formats::pprof;
use crate::formats::protobuf::{Field, fields};
use crate::http::loopback;
use crate::recording::Recording;

/// A listener that ends with the story.
#[derive(Debug)]
pub struct Pyroscope {
    port: u16,
    pushed: Arc<Mutex<Vec<Pushed>>>,
    refusals: Arc<AtomicU32>,
}

/// A profile that was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The headers of its request, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The series' labels.
    pub labels: Vec<(String, String)>,
    /// The profile's identifier.
    pub id: String,
    /// The profile.
    pub recording: Recording,
    /// The labels of each sample.
    pub sample_labels: Vec<Vec<(String, String)>>,
}

impl Pushed {
    /// A label of the series.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Pyroscope {
    /// Begins to listen. The first `refusals` requests are answered with a failure that may pass.
    ///
    /// # Panics
    /// If it cannot.
    pub fn start(refusals: u32) -> Self {
        let listener = TcpListener::bind(loopback(0)).expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let (pushed, refusals) = (Arc::default(), Arc::new(AtomicU32::new(refusals)));
        let made = Self { port, pushed: Arc::clone(&pushed), refusals: Arc::clone(&refusals) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = serve(stream, &refusals).unwrap_or_default();
                pushed.lock().expect("nobody panics while holding it").extend(taken);
            }
        });
        made
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests it is still going to refuse.
    pub fn refusals(&self) -> u32 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// All profiles that it has taken.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.pushed.lock().expect("nobody panics while holding it").clone()
    }
}

fn serve(stream: TcpStream, refusals: &AtomicU32) -> std::io::Result<Vec<Pushed>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert_eq!(line.trim_end(), "POST /push.v1.PusherService/Push HTTP/1.1");
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).expect("a length");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_refused =
        refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let status = if is_refused { "503 Service Unavailable" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n");
    reader.get_mut().write_all(head.as_bytes())?;
    Ok(if is_refused { Vec::new() } else { read(&headers, &body) })
}

/// `push.v1.PushRequest`, whose every series has labels and a profile.
fn read(headers: &[(String, String)], body: &[u8]) -> Vec<Pushed> {
    let pair = |message: &[u8]| (text(message, 1), text(message, 2));
    let series = fields(body).filter(|(number, _)| *number == 1).map(|(_, field)| field.message());
    series
        .map(|series| {
            let labels = fields(series).filter(|(number, _)| *number == 1);
            let labels = labels.map(|(_, label)| pair(label.message())).collect();
            let sample = fields(series).find(|(number, _)| *number == 2).expect("a profile").1.message();
            let profile = fields(sample).find(|(number, _)| *number == 1).expect("its bytes").1.message();
            Pushed {
                headers: headers.to_vec(),
                labels,
                id: text(sample, 2),
                recording: pprof::read(profile),
                sample_labels: pprof::sample_labels(profile),
            }
        })
        .collect()
}

fn text(message: &[u8], wanted: u32) -> String {
    match fields(message).find(|(number, _)| *number == wanted) {
        Some((_, field @ Field::Bytes(_))) => field.text(),
        _ => String::new(),
    }
}

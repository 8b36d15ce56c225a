//! As much of an HTTP server as the tests' own stores need: plain TCP, whole bodies, connections that are kept.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

pub struct Request {
    pub method: String,
    /// Decoded, with its slashes.
    pub path: String,
    /// Decoded.
    pub query: BTreeMap<String, String>,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Whether the body's length is told.
    pub sized: bool,
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![], body: body.into(), sized: true }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Serves until the process ends; returns the address, `http://127.0.0.1:…`.
pub fn serve(answer: impl Fn(Request) -> Response + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || converse(connection, answer.as_ref()));
        }
    });
    address
}

fn converse(connection: TcpStream, answer: &dyn Fn(Request) -> Response) -> Result<()> {
    let mut output = connection.try_clone()?;
    let mut input = BufReader::new(connection);
    while let Some(request) = read(&mut input)? {
        let is_head = request.method == "HEAD";
        write(&mut output, &answer(request), is_head)?;
    }
    Ok(())
}

fn read(input: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Ok(Some(Request { method, path: decoded(path), query, headers, body }))
}

/// Percent-decoded; a plus is a plus.
pub fn decoded(text: &str) -> String {
    let plain = text.replace('+', "%2B");
    url::form_urlencoded::parse(plain.as_bytes()).next().map_or(String::new(), |(text, _)| text.into_owned())
}

fn write(output: &mut TcpStream, response: &Response, is_head: bool) -> Result<()> {
    let mut head = format!("HTTP/1.1 {} Status\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if response.sized {
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    } else if !is_head {
        head.push_str("Connection: close\r\n");
    }
    output.write_all(format!("{head}\r\n").as_bytes())?;
    if !is_head {
        output.write_all(&response.body)?;
    }
    if !response.sized && !is_head {
        output.shutdown(std::net::Shutdown::Both)?;
    }
    output.flush()
}

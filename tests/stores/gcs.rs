//! A small stand-in for Google Cloud Storage: the calls of its XML API that object_store makes, with the conditions that
//! they carry. Nothing in the registries speaks that API.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::http::{Request, Response, decoded, serve};

pub const BUCKET: &str = "shop-marts";
/// As many as the real one sends at once.
const PAGE: usize = 1000;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, (u64, Vec<u8>)>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    generation: u64,
}

/// Starts one; returns object_store's options for it.
pub fn start() -> BTreeMap<String, String> {
    let bucket = Mutex::new(Bucket::default());
    let address = serve(move |request| bucket.lock().expect("no panic").answer(&request));
    // Without a token, as emulators are spoken to.
    let key = serde_json::json!({
        "gcs_base_url": address, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "",
    });
    [("google_service_account_key", key.to_string()), ("google_allow_http", "true".to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Bucket {
    fn answer(&mut self, request: &Request) -> Response {
        let (bucket, key) = request.path[1..].split_once('/').unwrap_or((&request.path[1..], ""));
        if bucket != BUCKET {
            return error(404, "NoSuchBucket", "The specified bucket does not exist.");
        }
        let query = |name: &str| request.query.get(name);
        match (request.method.as_str(), query("uploadId")) {
            ("GET", _) if key.is_empty() => self.list(request),
            ("GET" | "HEAD", _) => self.get(key, request),
            ("PUT", Some(upload)) => {
                let part = query("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
                self.uploads.entry(upload.clone()).or_default().insert(part, request.body.clone());
                Response::new(200, "").with("ETag", format!("\"part-{part}\""))
            }
            ("PUT", None) => self.put(key, request),
            ("POST", None) => {
                self.generation += 1;
                let upload = format!("<UploadId>{}</UploadId>", self.generation);
                Response::new(200, format!("<InitiateMultipartUploadResult>{upload}</InitiateMultipartUploadResult>"))
            }
            ("POST", Some(upload)) => {
                let parts = self.uploads.remove(upload).unwrap_or_default();
                let generation = self.store(key, parts.into_values().flatten().collect());
                let tag = format!("<ETag>\"{generation}\"</ETag>");
                Response::new(200, format!("<CompleteMultipartUploadResult>{tag}</CompleteMultipartUploadResult>"))
            }
            ("DELETE", Some(upload)) => {
                self.uploads.remove(upload);
                Response::new(204, "")
            }
            ("DELETE", None) => match self.objects.remove(key) {
                Some(_) => Response::new(204, ""),
                None => no_such_key(),
            },
            _ => error(400, "NotImplemented", "This stand-in has no such call."),
        }
    }

    fn store(&mut self, key: &str, bytes: Vec<u8>) -> u64 {
        self.generation += 1;
        self.objects.insert(key.to_owned(), (self.generation, bytes));
        self.generation
    }

    fn put(&mut self, key: &str, request: &Request) -> Response {
        let must_be_new = request.headers.get("x-goog-if-generation-match").is_some_and(|generation| generation == "0");
        if must_be_new && self.objects.contains_key(key) {
            return error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.");
        }
        let bytes = match request.headers.get("x-goog-copy-source") {
            Some(source) => {
                let source = decoded(source);
                let found = source.split_once('/').and_then(|(_, key)| self.objects.get(key));
                let Some((_, bytes)) = found else { return no_such_key() };
                bytes.clone()
            }
            None => request.body.clone(),
        };
        let generation = self.store(key, bytes);
        Response::new(200, "").with("ETag", format!("\"{generation}\""))
    }

    fn get(&self, key: &str, request: &Request) -> Response {
        let Some((generation, bytes)) = self.objects.get(key) else { return no_such_key() };
        let tag = format!("\"{generation}\"");
        if request.headers.get("if-match").is_some_and(|wanted| *wanted != tag) {
            return error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.");
        }
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let range = range.and_then(|range| range.split_once('-'));
        let bounds = range.map(|(first, last)| {
            let last = last.parse().map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
            (first.parse().unwrap_or(0), last)
        });
        let response = match bounds {
            Some((first, end)) => Response::new(206, &bytes[first..end])
                .with("Content-Range", format!("bytes {first}-{}/{}", end - 1, bytes.len())),
            None => Response::new(200, bytes.clone()),
        };
        response.with("ETag", tag).with("Last-Modified", "Fri, 01 Mar 2024 00:00:00 GMT")
    }

    fn list(&self, request: &Request) -> Response {
        let prefix = request.query.get("prefix").map_or("", String::as_str);
        let after = request.query.get("continuation-token").or(request.query.get("start-after"));
        let after = after.map_or("", String::as_str);
        let delimited = request.query.contains_key("delimiter");
        let below = |key: &str| key[prefix.len()..].split_once('/').map(|(folder, _)| format!("{prefix}{folder}/"));
        let matching = self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let page: Vec<_> = matching.take(PAGE + 1).collect();
        let mut text = String::from("<ListBucketResult>");
        let mut folders = std::collections::BTreeSet::new();
        for (key, (generation, bytes)) in page.iter().take(PAGE) {
            match below(key).filter(|_| delimited) {
                Some(folder) => drop(folders.insert(folder)),
                None => text.push_str(&format!(
                    "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2024-03-01T00:00:00.000Z</LastModified><ETag>\
                     \"{generation}\"</ETag></Contents>",
                    escaped(key),
                    bytes.len()
                )),
            }
        }
        for folder in folders {
            text.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(&folder)));
        }
        if let (true, Some((last, _))) = (page.len() > PAGE, page.get(PAGE - 1)) {
            text.push_str(&format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(last)));
        }
        Response::new(200, format!("{text}</ListBucketResult>"))
    }
}

fn no_such_key() -> Response {
    error(404, "NoSuchKey", "The specified key does not exist.")
}

//! The model and the server side by side, with the random choices that drive both.

use aws_sdk_s3::Client;
use bytes::Bytes;
use granary_tests::client::{Refusal, decided};
use granary_tests::content::{Choices, seeded_bytes};
use granary_tests::{Server, ServerConfig};

use crate::model::Model;
use crate::versioned_model::Versioned;

pub(crate) const BUCKET: &str = "model";
/// The bucket with versions.
pub(crate) const VERSIONED: &str = "versions";
const STEPS_REMEMBERED: usize = 40;

/// Few keys, so that operations meet; alike, so that prefixes, delimiters and byte order matter.
const KEYS: [&str; 22] = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/c",
    "a0",
    "b",
    "b/1",
    "b/10",
    "b/2",
    "b//x",
    "dir/one",
    "dir/two",
    "dir/ü",
    "e%2F+ &=?",
    "z/\u{7f}",
    "z/é",
    "z/中",
    "z/\u{10348}",
    "zz/a.tar",
    "zz/a/tar",
    "..dots/./x",
];

/// Lengths at and around the limits of blocks and packing.
const LENGTHS: [usize; 14] = [
    0, 1, 100, 4_095, 16_384, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 524_289, 1_048_577,
    3_000_000,
];

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) model: Model,
    pub(crate) versions: Versioned,
    pub(crate) choices: Choices,
    history: Vec<String>,
}

impl World {
    pub(crate) async fn start(config: ServerConfig, choices: Choices) -> Self {
        let server = Server::start(config).await.unwrap();
        let client = server.client().unwrap();
        for bucket in [BUCKET, VERSIONED] {
            client.create_bucket().bucket(bucket).send().await.unwrap();
        }
        Self {
            server,
            client,
            model: Model::default(),
            versions: Versioned::default(),
            choices,
            history: Vec::new(),
        }
    }

    pub(crate) fn key(&mut self) -> String {
        (*self.choices.pick(&KEYS).unwrap()).to_owned()
    }

    pub(crate) fn distinct_keys(&mut self, count: usize) -> Vec<String> {
        let first = self.choices.below(KEYS.len() as u64) as usize;
        (0..count.min(KEYS.len())).map(|step| KEYS[(first + step) % KEYS.len()].to_owned()).collect()
    }

    pub(crate) fn body(&mut self) -> Bytes {
        let length = *self.choices.pick(&LENGTHS).unwrap();
        self.body_of(length)
    }

    pub(crate) fn body_of(&mut self, length_bytes: usize) -> Bytes {
        seeded_bytes(self.choices.next_u64(), length_bytes).into()
    }

    pub(crate) fn note(&mut self, what: String) {
        if self.history.len() == STEPS_REMEMBERED {
            self.history.remove(0);
        }
        self.history.push(what);
    }

    /// The heart of the test: both must have decided alike.
    pub(crate) fn agree<T: PartialEq + std::fmt::Debug>(
        &self,
        real: &Result<T, Refusal>,
        expected: &Result<T, Refusal>,
    ) {
        if real != expected {
            self.disagree(&format!("real {real:.300?}\nmodel {expected:.300?}"));
        }
    }

    /// As `agree`, where several things may be wrong at once and any of them may be what is reported.
    pub(crate) fn agree_on_faults(
        &self,
        real: &Result<String, Refusal>,
        expected: &Result<String, Vec<Refusal>>,
    ) {
        match (real, expected) {
            (Err(refusal), Err(faults)) if faults.contains(refusal) => {}
            (Ok(real), Ok(expected)) if real == expected => {}
            _ => self.disagree(&format!("real {real:?}\nmodel {expected:?}")),
        }
    }

    pub(crate) fn disagree(&self, what: &str) -> ! {
        let history = self.history.join("\n");
        let cut: String = what.chars().take(3000).collect();
        panic!("after\n{history}\nthe server and the model disagree:\n{cut}");
    }

    /// Reads one object from the server: its body, ETag and metadata.
    pub(crate) async fn read(&self, key: &str) -> Result<(Bytes, String, String), Refusal> {
        let got = decided(self.client.get_object().bucket(BUCKET).key(key).send().await).unwrap()?;
        let etag = got.e_tag().unwrap_or_default().to_owned();
        let origin = got.metadata().and_then(|all| all.get("origin")).cloned().unwrap_or_default();
        let Ok(body) = got.body.collect().await else {
            self.disagree(&format!("the body of {key} broke off"))
        };
        Ok((body.into_bytes(), etag, origin))
    }

    pub(crate) async fn compare_object(&self, key: &str) {
        let real = self.read(key).await;
        let expected = self.model.get(key).map(|object| {
            let object = object.clone();
            (object.body, object.etag, object.origin)
        });
        match (&real, &expected) {
            (Ok(real), Ok(expected)) if real.0 != expected.0 => {
                let at = real.0.iter().zip(&expected.0).position(|(left, right)| left != right);
                let (real, expected) = (real.0.len(), expected.0.len());
                self.disagree(&format!("{key}: {real} bytes for {expected}, first difference at {at:?}"));
            }
            _ => self.agree(&real, &expected),
        }
    }

    /// Every key there could be, read and compared, and the listing with it.
    pub(crate) async fn compare_everything(&mut self) {
        for key in KEYS {
            self.compare_object(key).await;
        }
        crate::listing::compare_whole(self).await;
        crate::multipart::compare_uploads(self, 1000).await;
        crate::versions::compare_everything(self).await;
    }
}

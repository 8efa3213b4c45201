//! Nodes that know each other by certificates, without a secret.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use granary_tests::cluster::Cluster;
use granary_tests::content::seeded_bytes;
use granary_tests::{PATIENCE, Server, ServerConfig};

/// The files of one authority, and of a node's certificate that it signed.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn create_in(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["granary".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        for (file, text) in
            [("ca.pem", authority), ("cert.pem", certificate), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(folder.join(file), text).unwrap();
        }
        Self { folder }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let file = |name| self.folder.join(name).display().to_string();
        let settings = [
            ("GRANARY_NODE_TLS_CA", file("ca.pem")),
            ("GRANARY_NODE_TLS_CERT", file("cert.pem")),
            ("GRANARY_NODE_TLS_KEY", file("key.pem")),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

/// The same node, with certificates in the place of the secret.
fn without_secret(mut config: ServerConfig, authority: &Authority) -> ServerConfig {
    config.env.retain(|(name, _)| name != "GRANARY_CLUSTER_SECRET");
    config.env.extend(authority.settings());
    config
}

#[tokio::test]
async fn nodes_with_certificates_need_no_secret_and_take_no_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::create_in(folder.path(), "ours");
    let other = Authority::create_in(folder.path(), "other");
    let mut cluster = Cluster::empty().unwrap();
    for _ in 0..3 {
        let config = without_secret(cluster.node_config(1), &ours);
        cluster.nodes.push(Server::start(config).await.unwrap());
    }
    cluster.wait_for(3).await.unwrap();
    let clients = cluster.clients().unwrap();
    clients[0].create_bucket().bucket("bucket").send().await.unwrap();
    let body = seeded_bytes(1, 3_000_000);
    let put = clients[1].put_object().bucket("bucket").key("k").body(ByteStream::from(body.clone()));
    put.send().await.unwrap();
    let got = clients[2].get_object().bucket("bucket").key("k").send().await.unwrap();
    assert!(got.body.collect().await.unwrap().to_vec() == body);
    // A node with the certificate of another authority is not spoken to.
    let mut stranger = Server::prepare(without_secret(cluster.node_config(1), &other)).unwrap();
    stranger.spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let listed = cluster.listed_by(&cluster.nodes[0]).await.unwrap();
    let of_stranger = listed.iter().find(|(_, address, _)| *address == stranger.node_host());
    assert!(of_stranger.is_none_or(|(_, _, state)| state != "alive"), "{listed:?}");
    // Half of what is needed is refused at start.
    let mut config = without_secret(cluster.node_config(1), &ours);
    config.env.retain(|(name, _)| name != "GRANARY_NODE_TLS_KEY");
    let mut half = Server::prepare(config).unwrap();
    half.spawn().unwrap();
    assert!(!half.wait_exit(PATIENCE).await.unwrap().success());
    assert!(half.log_tail().contains("give all three"), "{}", half.log_tail());
}

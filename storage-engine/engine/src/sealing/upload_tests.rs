use granary_types::{BucketKeys, Cipher, Envelope, MasterKeyId, SealedWith};

use super::*;

#[test]
fn the_encryption_of_an_upload_comes_back_and_leaves_nothing_behind() {
    let seal = Seal {
        cipher: Cipher::Aes256Gcm64KiB,
        envelope: Envelope { salt: [3; 16], sealed: vec![9; 48] },
        with: SealedWith::Kms {
            master: MasterKeyId::from_bytes([1; 16]),
            key: "training".to_owned(),
            bucket_keys: BucketKeys::Enabled,
            context: Some("e30=".to_owned()),
        },
    };
    let plain = Attributes { headers: vec![("expires".to_owned(), "x".to_owned())], ..Attributes::default() };
    let mut attributes = plain.clone();
    keep_upload_seal(&mut attributes, None).unwrap();
    assert_eq!((upload_seal(&attributes).unwrap(), &attributes), (None, &plain));
    keep_upload_seal(&mut attributes, Some(&seal)).unwrap();
    assert_eq!(upload_seal(&attributes).unwrap().as_ref(), Some(&seal));
    assert_eq!(take_upload_seal(&mut attributes).unwrap(), Some(seal));
    assert_eq!(attributes, plain);
}

#[test]
fn what_cannot_be_understood_is_not_taken_for_no_encryption() {
    for text in ["", "00", "zz", "0000ff"] {
        let headers = vec![(UPLOAD_SEAL.to_owned(), text.to_owned())];
        assert!(upload_seal(&Attributes { headers, ..Attributes::default() }).is_err(), "{text}");
    }
}

//! Volumes in memory, for the tests of what walks them.
#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use granary_cluster::access::{ShardAccess, ShardAppend};
use granary_drive::{
    BLOCK_HEADER_LENGTH_BYTES, BlockHeader, BlockKind, DriveError, FileHeader, PackedEntry, PackedRecords,
    block_span_bytes,
};
use granary_erasure::{Codec, Profile};
use granary_types::{ClusterId, DriveId, Epoch, VolumeId};

use crate::drives::DriveSet;
use crate::volume::{VolumeMap, VolumeView};

/// k and m of the sample.
pub(crate) const CODE: (u8, u8) = (3, 2);

/// How a column answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Well,
    /// As a drive whose node is away.
    Never,
    /// Reads of more than so many bytes stall.
    Short(usize),
    /// The sector with that byte cannot be read.
    BadAt(u64),
}

/// A volume whose columns are in memory.
pub(crate) struct Sample {
    pub(crate) view: Arc<VolumeView>,
    /// By column; none of those whose file is gone.
    pub(crate) columns: Vec<Option<(Vec<u8>, Answers)>>,
    /// Where each stripe begins and ends.
    pub(crate) stripes: Vec<(u64, u64)>,
    pub(crate) end: u64,
    /// What is recorded of each object; if there is nothing, what nobody understands.
    pub(crate) record: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Memory(Vec<u8>, Answers);

#[async_trait]
impl ShardAccess for Memory {
    async fn read(&self, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError> {
        let longest = match self.1 {
            Answers::BadAt(at) if (offset..offset + length_bytes as u64).contains(&at) => {
                return Err(DriveError::Io {
                    context: "reading",
                    path: PathBuf::from("memory"),
                    source: std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
                });
            }
            Answers::Well | Answers::BadAt(_) => usize::MAX,
            Answers::Never => 0,
            Answers::Short(longest) => longest,
        };
        if length_bytes > longest {
            return Err(DriveError::Stalled { path: PathBuf::from("memory") });
        }
        let from = self.0.len().min(offset as usize);
        let to = self.0.len().min(from + length_bytes);
        Ok(Bytes::copy_from_slice(&self.0[from..to]))
    }

    fn append(&self, _: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>> {
        std::future::ready(Ok(())).boxed()
    }
}

impl Sample {
    pub(crate) fn new() -> Self {
        let (data, parity) = CODE;
        let codec = Codec::new(Profile::new(data, parity).unwrap()).unwrap();
        let drives = (0..data + parity).map(|column| DriveId::from_bytes([column; 16])).collect();
        let id = VolumeId::from_bytes([2; 16]);
        let header = vec![0; FileHeader::LENGTH_BYTES as usize];
        Self {
            view: Arc::new(VolumeView { id, codec, drives }),
            columns: vec![Some((header, Answers::Well)); usize::from(data + parity)],
            stripes: Vec::new(),
            end: FileHeader::LENGTH_BYTES,
            record: None,
        }
    }

    /// Appends a stripe with an object of so many bytes in each of these data columns.
    pub(crate) fn add(&mut self, length_bytes: usize, data_columns: &[u8]) {
        let mut written: Vec<(u8, u32, Vec<u8>)> = data_columns
            .iter()
            .map(|column| {
                let data = vec![self.stripes.len() as u8 ^ (*column << 5); length_bytes];
                let hash = *blake3::hash(&data).as_bytes();
                let length_bytes = length_bytes as u32;
                let record = self.record.clone().unwrap_or_else(|| vec![*column; 70]);
                let entry = PackedEntry { offset: 0, length_bytes, hash, record };
                let mut body = PackedRecords { entries: vec![entry] }.encode().unwrap();
                let records_length_bytes = body.len() as u32;
                body.extend_from_slice(&data);
                body.resize(body.len().next_multiple_of(64), 0);
                (*column, records_length_bytes, body)
            })
            .collect();
        let body_length_bytes = written[0].2.len();
        let mut parity = vec![vec![0; body_length_bytes]; usize::from(CODE.1)];
        let inputs: Vec<_> =
            written.iter().map(|(column, _, body)| (usize::from(*column), body.as_slice())).collect();
        let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        self.view.codec.encode(&inputs, &mut outputs).unwrap();
        written.extend((CODE.0..).zip(parity).map(|(column, body)| (column, 0, body)));
        let columns_written = written.iter().fold(0, |columns, (column, _, _)| columns | 1 << column);
        for (column, records_length_bytes, body) in &written {
            let is_parity = *column >= CODE.0;
            let hashed = if is_parity { body.as_slice() } else { &body[..*records_length_bytes as usize] };
            let header = BlockHeader {
                kind: BlockKind::Packed,
                column: *column,
                profile: CODE,
                cluster: ClusterId::from_bytes([3; 16]),
                volume: self.view.id,
                epoch: Epoch(1),
                stripe: self.stripes.len() as u64,
                stripe_offset: self.end,
                columns_written,
                body_length_bytes: body.len() as u32,
                records_length_bytes: *records_length_bytes,
                data_length_bytes: if is_parity { 0 } else { length_bytes as u32 },
                hash: *blake3::hash(hashed).as_bytes(),
            };
            let (bytes, _) = self.columns[usize::from(*column)].as_mut().unwrap();
            bytes.resize(self.end as usize + BLOCK_HEADER_LENGTH_BYTES, 0);
            assert!(header.write(&mut bytes[self.end as usize..]));
            bytes.extend_from_slice(body);
        }
        let begin = self.end;
        self.end += block_span_bytes(body_length_bytes as u32);
        self.stripes.push((begin, self.end));
    }

    /// The columns, to be walked.
    pub(crate) fn map(&self) -> Arc<VolumeMap> {
        let map = VolumeMap::without_metadata(Arc::new(DriveSet::default()));
        for (column, bytes) in (0_u8..).zip(&self.columns) {
            if let Some((bytes, answers)) = bytes {
                map.put_shard(self.view.id, column, Arc::new(Memory(bytes.clone(), *answers)));
            }
        }
        Arc::new(map)
    }
}

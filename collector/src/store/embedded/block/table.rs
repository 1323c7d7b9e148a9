//! Tables in Parquet: columns of numbers or text, written from and read into memory.

use bytes::{Buf, Bytes};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

/// A column.
#[derive(Debug)]
pub(super) enum Column {
    Small(Vec<i32>),
    Large(Vec<i64>),
    Text(Vec<ByteArray>),
}

/// Writes a table whose rows come in groups.
pub(super) fn write(
    schema: &str,
    deltas: &[&str],
    groups: impl Iterator<Item = Vec<Column>>,
) -> Result<(Bytes, ParquetMetaData)> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("loopscope-collector ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in deltas {
        let path = ColumnPath::from(*column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    let schema = parse_message_type(schema)?.into();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties.build().into())?;
    for columns in groups {
        let mut group = writer.next_row_group()?;
        for column in columns {
            let mut out = group.next_column()?.ok_or_else(|| wrong("a column too many"))?;
            match column {
                Column::Small(values) => out.typed::<Int32Type>().write_batch(&values, None, None)?,
                Column::Large(values) => out.typed::<Int64Type>().write_batch(&values, None, None)?,
                Column::Text(values) => out.typed::<ByteArrayType>().write_batch(&values, None, None)?,
            };
            out.close()?;
        }
        group.close()?;
    }
    let metadata = writer.close()?;
    Ok((bytes.into(), metadata))
}

/// A table of which some parts are in memory.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    length: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    pub(super) fn new(length: u64) -> Self {
        Self { length, parts: Vec::new() }
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, parts: vec![(0, bytes)] }
    }

    pub(super) fn add(&mut self, offset: u64, part: Bytes) {
        self.parts.push((offset, part));
    }

    fn from(&self, start: u64) -> Result<Bytes> {
        let part =
            self.parts.iter().find(|(offset, part)| (*offset..offset + part.len() as u64).contains(&start));
        part.map(|(offset, part)| part.slice((start - offset) as usize..))
            .ok_or_else(|| wrong("a part of the table was not read"))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let part = self.from(start)?;
        if part.len() < length {
            Err(wrong("a part of the table is too short"))
        } else {
            Ok(part.slice(..length))
        }
    }
}

/// Opens a table.
pub(super) fn open(parts: Parts) -> Result<SerializedFileReader<Parts>> {
    SerializedFileReader::new(parts)
}

/// Reads a whole column of a table.
pub(super) fn column(table: &SerializedFileReader<Parts>, position: usize) -> Result<Column> {
    let mut all: Option<Column> = None;
    for group in 0..table.num_row_groups() {
        let group = table.get_row_group(group)?;
        let rows = group.metadata().num_rows() as usize;
        let read = part(&*group, position, 0, rows)?;
        match (&mut all, read) {
            (None, read) => all = Some(read),
            (Some(Column::Small(all)), Column::Small(read)) => all.extend(read),
            (Some(Column::Large(all)), Column::Large(read)) => all.extend(read),
            (Some(Column::Text(all)), Column::Text(read)) => all.extend(read),
            _ => return Err(wrong("columns of different types")),
        }
    }
    all.ok_or_else(|| wrong("an empty table"))
}

/// Reads some rows of a column in a group.
pub(super) fn part(group: &dyn RowGroupReader, position: usize, skip: usize, rows: usize) -> Result<Column> {
    macro_rules! read {
        ($type:ty, $reader:expr) => {{
            let mut reader = get_typed_column_reader::<$type>($reader);
            let mut values = Vec::with_capacity(rows);
            if reader.skip_records(skip)? != skip {
                return Err(wrong("a column is too short"));
            }
            while values.len() < rows {
                let (read, ..) = reader.read_records(rows - values.len(), None, None, &mut values)?;
                if read == 0 {
                    return Err(wrong("a column is too short"));
                }
            }
            values
        }};
    }
    use parquet::column::reader::ColumnReader::{
        ByteArrayColumnReader, Int32ColumnReader, Int64ColumnReader,
    };
    Ok(match group.get_column_reader(position)? {
        reader @ Int32ColumnReader(_) => Column::Small(read!(Int32Type, reader)),
        reader @ Int64ColumnReader(_) => Column::Large(read!(Int64Type, reader)),
        reader @ ByteArrayColumnReader(_) => Column::Text(read!(ByteArrayType, reader)),
        _ => return Err(wrong("a column of another type")),
    })
}

impl Column {
    pub(super) fn small(self) -> Result<Vec<i32>> {
        if let Self::Small(values) = self { Ok(values) } else { Err(wrong("a column of another type")) }
    }

    pub(super) fn large(self) -> Result<Vec<i64>> {
        if let Self::Large(values) = self { Ok(values) } else { Err(wrong("a column of another type")) }
    }

    pub(super) fn text(self) -> Result<Vec<ByteArray>> {
        if let Self::Text(values) = self { Ok(values) } else { Err(wrong("a column of another type")) }
    }
}

pub(super) fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

//! Parquet files as other programs write them.

use std::sync::Arc;

use bytes::Bytes;
use flowlake_transform::arrow::{
    array::{ArrayRef, RecordBatch, StringViewBuilder},
    datatypes::{DataType, Field, Schema},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    column::writer::ColumnCloseResult,
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    file::{
        metadata::{
            ColumnChunkMetaData, FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter,
            RowGroupMetaData,
        },
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        reader::{FileReader, SerializedFileReader},
        statistics::{Statistics, ValueStatistics},
        writer::SerializedFileWriter,
    },
    schema::{parser::parse_message_type, types::SchemaDescriptor},
};

/// Columns by name; each may hold nulls.
pub(crate) fn file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let columns = columns
        .iter()
        .map(|(name, values)| (*name, Arc::clone(values), true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    written(&rows, WriterProperties::default())
}

/// A file without a row, but with columns.
pub(crate) fn empty_file(columns: &[(&str, DataType)]) -> Vec<u8> {
    let fields = columns
        .iter()
        .map(|(name, kind)| Field::new(*name, kind.clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    written(
        &RecordBatch::new_empty(schema.into()),
        WriterProperties::default(),
    )
}

/// The same file in groups of this many rows.
pub(crate) fn in_groups(columns: &[(&str, ArrayRef)], rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(
        columns
            .iter()
            .map(|(name, values)| (*name, Arc::clone(values))),
    );
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows));
    written(&batch.unwrap(), properties.build())
}

/// The same file in groups and pages of this many rows.
pub(crate) fn in_pages(columns: &[(&str, ArrayRef)], group: usize, page: usize) -> Vec<u8> {
    let columns = columns
        .iter()
        .map(|(name, values)| (*name, Arc::clone(values)));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page);
    written(
        &RecordBatch::try_from_iter(columns).unwrap(),
        properties.build(),
    )
}

fn written(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

/// The same file as writers make it that do not count nulls: its statistics have least and largest values alone.
pub(crate) fn without_null_counts(file: Vec<u8>) -> Vec<u8> {
    with_statistics(file, |_, column| uncounted(column))
}

/// The same file without statistics in its groups of rows of these numbers.
pub(crate) fn without_statistics_in(file: Vec<u8>, groups: &[usize]) -> Vec<u8> {
    with_statistics(file, |number, column| {
        let column = column.clone();
        if groups.contains(&number) {
            let builder = column.into_builder().clear_statistics();
            return builder.build().unwrap();
        }
        column
    })
}

fn with_statistics(
    file: Vec<u8>,
    change: impl Fn(usize, &ColumnChunkMetaData) -> ColumnChunkMetaData,
) -> Vec<u8> {
    let bytes = Bytes::from(file);
    let reader = SerializedFileReader::new(bytes.clone()).unwrap();
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr().root_schema_ptr();
    let arrow = metadata.file_metadata().key_value_metadata().cloned();
    let properties = WriterProperties::builder().set_key_value_metadata(arrow);
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).unwrap();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let mut rows = writer.next_row_group().unwrap();
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size().try_into().unwrap(),
                rows_written: group.num_rows().try_into().unwrap(),
                metadata: change(number, column),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            rows.append_column(&bytes, close).unwrap();
        }
        rows.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn uncounted(column: &ColumnChunkMetaData) -> ColumnChunkMetaData {
    macro_rules! same {
        ($variant:ident, $of:expr) => {
            Statistics::$variant(ValueStatistics::new(
                $of.min_opt().cloned(),
                $of.max_opt().cloned(),
                None,
                None,
                false,
            ))
        };
    }
    let statistics = match column.statistics().unwrap() {
        Statistics::Int32(of) => same!(Int32, of),
        Statistics::Int64(of) => same!(Int64, of),
        Statistics::Double(of) => same!(Double, of),
        Statistics::ByteArray(of) => same!(ByteArray, of),
        other => panic!("{other:?}"),
    };
    let builder = column.clone().into_builder().clear_statistics();
    builder.set_statistics(statistics).build().unwrap()
}

/// The same file with a footer that promises more rows than there are.
pub(crate) fn promising(file: Vec<u8>, rows: i64) -> Vec<u8> {
    let bytes = Bytes::from(file);
    let reader = SerializedFileReader::new(bytes.clone()).unwrap();
    let metadata = reader.metadata();
    let own = metadata.file_metadata();
    let columns = FileMetaData::new(
        own.version(),
        rows,
        own.created_by().map(str::to_owned),
        own.key_value_metadata().cloned(),
        own.schema_descr_ptr(),
        own.column_orders().cloned(),
    );
    let group = metadata.row_group(0).clone().into_builder();
    let group = group.set_num_rows(rows).build().unwrap();
    let metadata = ParquetMetaDataBuilder::new(columns).add_row_group(group);
    let footer = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[footer..footer + 4].try_into().unwrap());
    let mut changed = bytes[..footer - length as usize].to_vec();
    ParquetMetaDataWriter::new(&mut changed, &metadata.build())
        .finish()
        .unwrap();
    changed
}

/// A file of one group, whose columns `c0`, `c1` … are all of the same bytes.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The type of each column, as Parquet writes schemas.
    pub(crate) kind: &'static str,
    pub(crate) columns: usize,
    pub(crate) codec: Compression,
    pub(crate) rows: i64,
    pub(crate) bytes: Vec<u8>,
    /// Bytes that stand for the index of where pages begin.
    pub(crate) index: Option<Vec<u8>>,
}

impl Pages {
    pub(crate) fn file(&self) -> Vec<u8> {
        let fields = (0..self.columns).map(|column| format!("required {} c{column};", self.kind));
        let schema = format!("message rows {{ {} }}", fields.collect::<String>());
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let schema = Arc::new(SchemaDescriptor::new(schema));
        let mut file = b"PAR1".to_vec();
        file.extend(&self.bytes);
        let size = i64::try_from(self.bytes.len()).unwrap();
        let index = self.index.as_ref().map(|index| {
            file.extend(index);
            (4 + size, i32::try_from(index.len()).unwrap())
        });
        let columns = (0..self.columns).map(|column| {
            ColumnChunkMetaData::builder(schema.column(column))
                .set_compression(self.codec)
                .set_data_page_offset(4)
                .set_num_values(self.rows)
                .set_total_compressed_size(size)
                .set_total_uncompressed_size(size)
                .set_offset_index_offset(index.map(|(offset, _)| offset))
                .set_offset_index_length(index.map(|(_, length)| length))
                .build()
                .unwrap()
        });
        let group = RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(self.rows)
            .set_total_byte_size(size)
            .set_column_metadata(columns.collect());
        let footer = FileMetaData::new(1, self.rows, None, None, schema, None);
        let footer = ParquetMetaDataBuilder::new(footer).add_row_group(group.build().unwrap());
        let footer = footer.build();
        ParquetMetaDataWriter::new(&mut file, &footer)
            .finish()
            .unwrap();
        file
    }
}

/// A number as Thrift's compact protocol and Avro write it.
pub(crate) fn zigzag(value: i64) -> Vec<u8> {
    unsigned((value << 1 ^ value >> 63).cast_unsigned())
}

pub(crate) fn unsigned(mut left: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes
}

/// A page whose header claims this many bytes when it is unpacked.
pub(crate) fn page(
    dictionary: bool,
    encoding: i64,
    values: i64,
    unpacked: usize,
    packed: &[u8],
) -> Vec<u8> {
    const RLE: i64 = 3;
    let mut page = Vec::new();
    let mut number = |value: i64| {
        page.push(0x15);
        page.extend(zigzag(value));
    };
    number(if dictionary { 2 } else { 0 });
    number(i64::try_from(unpacked).unwrap());
    number(i64::try_from(packed.len()).unwrap());
    let own = if dictionary {
        vec![values, encoding]
    } else {
        vec![values, encoding, RLE, RLE]
    };
    page.push(if dictionary { 0x4c } else { 0x2c });
    for value in own {
        page.push(0x15);
        page.extend(zigzag(value));
    }
    page.extend([0, 0]);
    page.extend(packed);
    page
}

/// A footer that says that it has two thousand million groups of rows.
pub(crate) fn with_endless_groups() -> Vec<u8> {
    let mut footer = vec![0x15, 0x02, 0x19, 0x2c];
    footer.extend(b"\x48\x01m\x15\x02\x00");
    footer.extend(b"\x15\x04\x25\x00\x18\x02c0\x00");
    footer.extend([0x16, 0x14, 0x19, 0xfc]);
    footer.extend(unsigned(i32::MAX as u64));
    footer.resize(footer.len() + 64, 0);
    let mut file = b"PAR1".to_vec();
    file.extend(&footer);
    file.extend(u32::try_from(footer.len()).unwrap().to_le_bytes());
    file.extend(b"PAR1");
    file
}

/// One column `c0` of this many equal texts, each written as the beginning of the one before.
pub(crate) fn of_equal_texts(text: &str, rows: usize) -> Vec<u8> {
    let mut texts = StringViewBuilder::new();
    let block = texts.append_block(text.as_bytes().to_vec().into());
    for _ in 0..rows {
        let length = u32::try_from(text.len()).unwrap();
        texts.try_append_view(block, 0, length).unwrap();
    }
    let texts: ArrayRef = Arc::new(texts.finish());
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BYTE_ARRAY)
        .set_statistics_enabled(EnabledStatistics::None);
    let rows = RecordBatch::try_from_iter([("c0", texts)]).unwrap();
    written(&rows, properties.build())
}

/// The file in pages of this many rows, without dictionaries, in one encoding and version.
pub(crate) fn encoded(
    columns: &[(&str, ArrayRef)],
    encoding: Encoding,
    version: WriterVersion,
    page: usize,
) -> Vec<u8> {
    let columns = columns
        .iter()
        .map(|(name, values)| (*name, Arc::clone(values), true));
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_dictionary_enabled(false)
        .set_encoding(encoding)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page);
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    written(&rows, properties.build())
}

/// `id` from 1 on and `phones`, a group of repeated groups that are not annotated as a list.
pub(crate) fn with_bare_groups(phones: &[Option<&[i64]>]) -> Vec<u8> {
    let schema = "message rows { required int32 id; optional group phones { repeated group phone { required int64 number; optional binary kind (UTF8); } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let ids: Vec<i32> = (1..).take(phones.len()).collect();
    let ints = column.typed::<Int32Type>();
    ints.write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    for row in phones {
        match row {
            None | Some([]) => {
                definition.push(i16::from(row.is_some()));
                repetition.push(0);
            }
            Some(numbers) => {
                for (place, number) in numbers.iter().enumerate() {
                    values.push(*number);
                    definition.push(2);
                    repetition.push(i16::from(place > 0));
                }
            }
        }
    }
    let mut column = group.next_column().unwrap().unwrap();
    let numbers = column.typed::<Int64Type>();
    numbers
        .write_batch(&values, Some(&definition), Some(&repetition))
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let kinds = column.typed::<ByteArrayType>();
    kinds
        .write_batch(&[], Some(&definition), Some(&repetition))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

/// `id` from 1 on and `tags`, which is repeated and not annotated as a list, as old writers make it.
pub(crate) fn with_bare_repetition(tags: &[&[&str]]) -> Vec<u8> {
    let schema = "message rows { required int32 id; repeated binary tags (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let ids: Vec<i32> = (1..).take(tags.len()).collect();
    column
        .typed::<Int32Type>()
        .write_batch(&ids, None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    for row in tags {
        if row.is_empty() {
            definition.push(0);
            repetition.push(0);
        }
        for (place, tag) in row.iter().enumerate() {
            values.push(ByteArray::from(*tag));
            definition.push(1);
            repetition.push(i16::from(place > 0));
        }
    }
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&definition), Some(&repetition))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

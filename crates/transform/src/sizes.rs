//! What arrays really hold, whatever larger buffers they are cut from.

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::DataType,
};

/// Bytes of the values of an array.
pub(crate) fn array_bytes(array: &dyn Array) -> u64 {
    let own = array
        .to_data()
        .get_slice_memory_size()
        .unwrap_or_else(|_error| array.get_array_memory_size()) as u64;
    own + views(array)
}

/// Of a view, Arrow counts 16 bytes whatever it shows: what does not fit into those is added here.
fn views(array: &dyn Array) -> u64 {
    let long = |lengths: &mut dyn Iterator<Item = u128>| {
        // The length is in the lower 32 bits of a view.
        lengths
            .map(|view| u64::from(view as u32))
            .filter(|length| *length > 12)
            .sum()
    };
    let children = |children: &[ArrayRef]| children.iter().map(|child| views(child)).sum();
    match array.data_type() {
        DataType::Utf8View => long(&mut array.as_string_view().views().iter().copied()),
        DataType::BinaryView => long(&mut array.as_binary_view().views().iter().copied()),
        DataType::Struct(_) => children(array.as_struct().columns()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.value_offsets().first(), list.value_offsets().last());
            let (first, last) = (first.copied().unwrap_or(0), last.copied().unwrap_or(0));
            let (first, last) = (
                usize::try_from(first).unwrap_or(0),
                usize::try_from(last).unwrap_or(0),
            );
            views(&list.values().slice(first, last - first))
        }
        DataType::LargeList(_) => views(array.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => views(array.as_fixed_size_list().values()),
        DataType::Map(..) => children(array.as_map().entries().columns()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{StringArray, StringViewArray};

    use super::array_bytes;

    #[test]
    fn long_views_count_and_slices_count_themselves_alone() {
        let long = "x".repeat(1000);
        let views = StringViewArray::from_iter_values([long.as_str(), long.as_str(), "short"]);
        assert!((2000..2200).contains(&array_bytes(&views)));
        assert!((1000..1100).contains(&array_bytes(&views.slice(0, 1))));
        let plain = StringArray::from_iter_values([long.as_str(), long.as_str()]);
        assert!((1000..1100).contains(&array_bytes(&plain.slice(1, 1))));
    }
}

"""Records written without TensorFlow are those that TensorFlow writes and reads."""

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pruning.examples import decode_example, encode_example
from pruning.tfrecord import RecordReader, count_records, frame

FEATURES = st.dictionaries(st.text(max_size=6), st.binary(max_size=300), max_size=4)


def tensorflow_example(features):
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


@given(FEATURES)
def test_tensorflow_reads_what_is_written_and_the_other_way_round(features):
    record, theirs = encode_example(features), tensorflow_example(features)
    assert tf.train.Example.FromString(record) == theirs
    assert len(record) == theirs.ByteSize()
    assert decode_example(record) == features
    assert decode_example(theirs.SerializeToString()) == features


def test_the_order_of_the_features_does_not_matter():
    features = {"url": b"x" * 300_000, "text": b"y" * 200, "é": b""}
    expected = tensorflow_example(features).SerializeToString(deterministic=True)
    assert encode_example(features) == expected
    assert encode_example(dict(reversed(features.items()))) == expected


@pytest.mark.parametrize(
    "features",
    [
        tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
        tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"b"])),
        tf.train.Feature(),
    ],
)
def test_what_no_export_writes_is_refused(features):
    example = tf.train.Example(features=tf.train.Features(feature={"text": features}))
    with pytest.raises(ValueError):  # noqa: PT011 the messages are for developers
        decode_example(example.SerializeToString())


def test_an_example_that_breaks_off_is_refused():
    record = encode_example({"text": b"some text"})
    for end in range(1, len(record)):
        with pytest.raises(ValueError):  # noqa: PT011
            decode_example(record[:end])


def test_a_file_has_the_bytes_of_tensorflow(tmp_path):
    records = [b"", b"a", b"b" * 5_000]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    ours = b"".join(map(frame, records))
    assert ours == (tmp_path / "theirs").read_bytes()


def test_a_changed_byte_is_found_where_checksums_are_compared(tmp_path):
    whole = b"".join(frame(f"record {i}".encode()) for i in range(20))
    path = tmp_path / "records"
    path.write_bytes(whole.replace(b"record 7", b"recerd 7"))
    assert count_records(str(path)) == 20
    assert list(RecordReader(str(path)).read(0, 20))[7] == b"recerd 7"
    reader = RecordReader(str(path), compare_checksums=True)
    assert list(reader.read(8, 12)) == [f"record {i}".encode() for i in range(8, 20)]
    with pytest.raises(ValueError, match=r"records is damaged at row 7: the record's checksum"):
        list(reader.read(0, 20))
    path.write_bytes(whole[:-3])
    reader = RecordReader(str(path), compare_checksums=True)
    with pytest.raises(ValueError, match=r"damaged at row 19: .* the file ends within it"):
        list(reader.read(0, 20))

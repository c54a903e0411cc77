"""``holdfast.sense.garbage``: the collector's own figures."""

import gc

from holdfast.sense import garbage_readings, read_garbage


def test_a_collection_is_counted():
    """One more of the oldest generation."""
    before = read_garbage()

    gc.collect()

    assert read_garbage().collections[-1] == before.collections[-1] + 1


def test_objects_of_python_show_up_as_blocks():
    """A hundred thousand small ones."""
    before = read_garbage().blocks

    held = [float(number) for number in range(100_000)]
    after = read_garbage().blocks

    assert after - before > len(held) * 0.9


def test_each_generation_is_read_against_its_threshold():
    """A threshold of zero is no bound; a collector that is off is said to be."""
    was = gc.get_threshold()
    gc.disable()
    gc.set_threshold(500, 0, 7)
    try:
        young, middle, *_, blocks = garbage_readings()
    finally:
        gc.set_threshold(*was)
        gc.enable()

    assert (young.name, young.bound, middle.bound) == ("gc generation 0", 500, None)
    assert young.note == "automatic collection is off"
    assert (blocks.name, blocks.unit) == ("python blocks", "blocks")


def test_reading_collects_nothing():
    """A reader changes nothing."""
    before = read_garbage().collections

    garbage_readings()

    assert read_garbage().collections[-1] == before[-1]

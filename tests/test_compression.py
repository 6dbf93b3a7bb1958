"""Every method gives back what it was given, and none can be made to fill the memory."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest

from kombu import compression
from kombu.compression import compress, decompress, encoders, get_decoder, get_encoder, register
from kombu.exceptions import DecodeError, SerializerNotInstalled

TYPES = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}
NAMES = [name for name, content_type in TYPES.items() if content_type in encoders()]
METHODS = sorted(encoders())
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {method: compress(b"\0" * (32 * MEGABYTE), method)[0] for method in METHODS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [b"", b"x", b"payload " * 100_000])
def test_a_body_comes_back_as_it_was(name: str, body: bytes) -> None:
    compressed, content_type = compress(body, name)
    assert content_type == TYPES[name]
    assert decompress(compressed, content_type) == body
    assert decompress(compressed, name, limit=len(body)) == body


def test_text_is_compressed_as_utf8() -> None:
    assert decompress(*compress("ü", "zlib")) == "ü".encode()


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_refused_before_memory_is_spent(method: str, bombs: dict[str, bytes]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="larger than 100000 bytes"):
            decompress(bombs[method], method, limit=100_000)
        assert tracemalloc.get_traced_memory()[1] < 12 * MEGABYTE  # 8 of them are xz's own dictionary
    finally:
        tracemalloc.stop()


BOMB_DISPOSAL = """
import resource, sys
from kombu.compression import decompress
from kombu.exceptions import DecodeError
method, bomb = sys.argv[1], sys.stdin.buffer.read()
decompress(bytes.fromhex(sys.argv[2]), method)  # so that what the method needs is loaded
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + 48 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    bytearray(64 * 1024 * 1024)
except MemoryError:
    print("the walls hold")
try:
    decompress(bomb, method, limit=1024 * 1024)
except DecodeError as refused:
    print(refused)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process is kept small by Linux's means")
@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_does_not_go_off_in_a_process_with_little_memory(method: str) -> None:
    bomb = compress(b"\0" * (96 * MEGABYTE), method)[0]
    done = subprocess.run(
        [sys.executable, "-c", BOMB_DISPOSAL, method, compress(b"abc", method)[0].hex()],
        input=bomb,
        capture_output=True,
        check=False,
    )
    expected = "the walls hold\nthe body is larger than 1048576 bytes when decompressed\n"
    assert done.stdout.decode() == expected, done.stderr.decode()


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_in_a_parcel_is_opened_one_wrapping_at_a_time(method: str, bombs: dict[str, bytes]) -> None:
    parcel = compress(bombs[method], method)[0]
    assert decompress(parcel, method, limit=len(bombs[method])) == bombs[method]


@pytest.mark.parametrize("method", METHODS)
def test_one_byte_over_the_limit_is_refused(method: str) -> None:
    with pytest.raises(DecodeError):
        decompress(compress(b"x" * 1001, method)[0], method, limit=1000)


def test_a_zstd_bomb_that_hides_its_size_is_refused() -> None:
    zstandard = pytest.importorskip("zstandard")
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * MEGABYTE)
    assert decompress(hidden, "zstd", limit=MEGABYTE) == b"\0" * MEGABYTE
    with pytest.raises(DecodeError):
        decompress(hidden, "zstd", limit=MEGABYTE - 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_body_that_is_cut_short_is_refused(method: str) -> None:
    compressed, _ = compress(bytes(range(256)) * 10, method)
    for length in (0, 1, len(compressed) // 2, len(compressed) - 1):
        with pytest.raises(DecodeError):
            decompress(compressed[:length], method)


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_body_is_refused(method: str) -> None:
    with pytest.raises(DecodeError):
        decompress(b"this was never compressed by anyone", method)


@pytest.mark.parametrize("method", METHODS)
def test_a_body_that_goes_on_after_its_end_is_refused(method: str) -> None:
    compressed = compress(b"abc", method)[0]
    for more in (compressed, b"\0", b"garbage", compress(b"", method)[0]):
        with pytest.raises(DecodeError):
            decompress(compressed + more, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_behind_a_small_member_is_refused(method: str, bombs: dict[str, bytes]) -> None:
    with pytest.raises(DecodeError):
        decompress(compress(b"abc", method)[0] + bombs[method], method)


@pytest.mark.parametrize("method", METHODS)
def test_any_damaged_byte_is_an_error_or_changes_nothing_but_the_body(method: str) -> None:
    """Never another exception, whatever is hit; not every method has a checksum."""
    sound = compress(b"some payload " * 20, method)[0]
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 0x55
        with suppress(DecodeError):
            assert isinstance(decompress(bytes(damaged), method, limit=10_000), bytes)


def test_a_skippable_zstd_frame_is_no_body() -> None:
    skippable = bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"abcd"
    for body in (skippable, skippable + compress(b"abc", "zstd")[0]):
        with pytest.raises(DecodeError):
            decompress(body, "zstd")


def test_a_zstd_frame_that_lies_about_its_size_is_refused() -> None:
    honest = bytearray(compress(b"x" * 200, "zstd")[0])
    assert honest[5] == 200
    for lie in (100, 250):
        honest[5] = lie
        with pytest.raises(DecodeError):
            decompress(bytes(honest), "zstd")


def test_text_is_not_a_compressed_body() -> None:
    with pytest.raises(DecodeError, match="text"):
        decompress("abc", "gzip")


def test_both_the_zlib_and_the_gzip_container_are_read() -> None:
    assert decompress(gzip.compress(b"abc"), "gzip") == b"abc"
    assert decompress(zlib.compress(b"abc"), "gzip") == b"abc"


def test_an_xz_stream_that_wants_too_much_memory_is_refused() -> None:
    greedy = bytearray(lzma.compress(b"abc"))
    header = greedy[12 : 12 + (greedy[12] + 1) * 4]
    header[4] = 34  # the dictionary size of 512 MiB in an LZMA2 filter's properties (xz file format, 5.3.1)
    header[-4:] = zlib.crc32(bytes(header[:-4])).to_bytes(4, "little")
    greedy[12 : 12 + len(header)] = header
    with pytest.raises(DecodeError, match="Memory usage limit"):
        decompress(bytes(greedy), "xz")


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    for call in (lambda: compress(b"", "rar"), lambda: decompress(b"", "rar"), lambda: get_encoder("rar")):
        with pytest.raises(SerializerNotInstalled, match=r"'rar'.*application/x-gzip.*bzip2.*zstd"):
            call()


@pytest.mark.parametrize("name", [["gzip"], 5, {}, "x" * 10_000])
def test_a_header_that_is_no_name_is_refused_briefly(name: Any) -> None:
    with pytest.raises(SerializerNotInstalled, match="no compression") as caught:
        decompress(b"abc", name)
    assert len(str(caught.value)) < 500


def test_a_method_of_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    with pytest.raises(SerializerNotInstalled, match="pip install brotli"):
        compress(b"abc", "brotli")
    with pytest.raises(SerializerNotInstalled, match="pip install brotli"):
        decompress(b"abc", "brotli")


def test_a_brotli_that_cannot_be_bounded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    brotli = pytest.importorskip("brotli")

    class OldDecompressor:
        def is_finished(self) -> bool:
            return False

    monkeypatch.setattr(brotli, "Decompressor", OldDecompressor)
    with pytest.raises(SerializerNotInstalled, match=r"brotli>=1\.2"):
        decompress(b"abc", "brotli")


def test_only_the_methods_that_work_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"application/x-gzip", "application/x-bz2", "application/x-lzma"} <= set(encoders())
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert "application/x-brotli" not in encoders()


def test_a_negative_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        decompress(compress(b"", "gzip")[0], "gzip", limit=-1)


def test_a_method_of_ones_own_is_used_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_methods", dict(compression._methods))
    monkeypatch.setattr(compression, "_aliases", dict(compression._aliases))
    register(lambda body: body[::-1], lambda body: body[::-1], "application/x-reversed", ["reversed"])
    assert compress("abc", "reversed") == (b"cba", "application/x-reversed")
    assert decompress(b"cba", "application/x-reversed") == b"abc"
    with pytest.raises(DecodeError, match="larger than 2 bytes"):
        decompress(b"cba", "reversed", limit=2)


def test_encoders_and_decoders_can_be_had_by_name() -> None:
    encode, content_type = get_encoder("zlib")
    assert content_type == "application/x-gzip"
    assert get_decoder("gzip")(encode(b"abc")) == b"abc"

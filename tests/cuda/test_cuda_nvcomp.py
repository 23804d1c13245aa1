"""zstd on a device through nvCOMP: a stand-in with the names and signatures of its version 6.0."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cupy_stand_in import CupyStandIn, DeviceArray, current
from devices import make_device
from numcodecs import zstd

import fzdask
from fzdask.codecs import device_batch
from fzdask.codecs.device.back_ends import BACK_ENDS
from fzdask.codecs.device.nvcomp_zstd import nvcomp_zstd
from fzdask.codecs.kernels.cuda import backend
from fzdask.codecs.stages.zstd import Zstd
from fzdask.errors import DeviceError

CHECKSUM = True  # as the CPU does not ask for, so that the bytes show who made a frame
ASKED = {"abs": 0.4, "pipeline": "quantize | lorenzo | huffman | zstd"}


class Nvcomp(ModuleType):
    """Stands for the module ``nvidia.nvcomp``."""

    BitstreamKind = SimpleNamespace(NVCOMP_NATIVE="native", RAW="raw")

    def __init__(self, spoil=lambda frame: frame):
        super().__init__("nvidia.nvcomp")
        self.frames = frames = []

        class Codec:
            def __init__(self, *, algorithm, bitstream_kind, device_id, cuda_stream):
                assert (algorithm, bitstream_kind) == ("Zstd", "raw")
                assert (device_id, cuda_stream) == (current(), 7)

            def encode(self, array):
                assert array.cuda_stream == 7
                frame = spoil(
                    zstd.compress(np.ascontiguousarray(array.source._values), 1, CHECKSUM)
                )
                frames.append(frame)
                values = np.frombuffer(frame, np.int8)
                return SimpleNamespace(on_device=DeviceArray(values, counts=array.source.counts))

        self.Codec = Codec

    def as_array(self, source, cuda_stream=0):
        assert isinstance(source, DeviceArray)
        return SimpleNamespace(source=source, cuda_stream=cuda_stream)


@pytest.fixture
def cupy(request, monkeypatch):
    stand_in = CupyStandIn(make_device("forward", request))
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    backend._device.cache_clear()
    device_batch.cuda_streams.cache_clear()
    yield stand_in
    backend._device.cache_clear()
    device_batch.cuda_streams.cache_clear()


def put(monkeypatch, nvcomp):
    parent = ModuleType("nvidia")
    parent.nvcomp = nvcomp
    monkeypatch.setitem(sys.modules, "nvidia", parent)
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp)
    return nvcomp


def field():
    """Noise that repeats: Huffman codes of 100 kB, which zstd packs well."""
    noise = np.random.default_rng(0).standard_normal(8192) * 60
    return np.resize(noise, 120_000).astype("f4")


@pytest.mark.parametrize("batch", [False, True])
def test_frames_are_read_by_any_decoder(cupy, monkeypatch, batch):
    nvcomp = put(monkeypatch, Nvcomp())
    x = field()
    plain = fzdask.compress(x, **ASKED)
    on_device = cupy.asarray(x)
    with nvcomp_zstd():
        if batch:
            stream, again = device_batch.encode_device_many([on_device, on_device], ASKED)
            assert stream == again
        else:
            stream = fzdask.compress(on_device, **ASKED)
    assert len(nvcomp.frames) == 1 + batch
    assert nvcomp.frames[0] in stream
    assert len(zstd.decompress(nvcomp.frames[0])) > 1 << 16
    assert stream != plain
    assert len(stream) < 1.1 * len(plain)
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", None)
    np.testing.assert_array_equal(fzdask.decompress(stream), fzdask.decompress(plain))
    assert fzdask.compress(on_device, **ASKED) == plain  # behind the block as before it
    assert Zstd not in BACK_ENDS


def test_streams_decode_on_a_device_too(cupy, monkeypatch):
    put(monkeypatch, Nvcomp())
    x = field()
    with nvcomp_zstd():
        stream = fzdask.compress(cupy.asarray(x), **ASKED)
        out = cupy.empty(x.shape, "f4")
        fzdask.FZCodec(**ASKED).decode(stream, out=out)
    np.testing.assert_array_equal(out._values, fzdask.decompress(stream))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame + frame,
        lambda frame: b"\0" + frame,
        lambda frame: frame[:4] + b"\0" + frame[5:],
    ],
    ids=["two frames", "something before it", "no content size"],
)
def test_what_is_no_frame_of_the_format_is_made_by_the_cpu(cupy, monkeypatch, spoil):
    nvcomp = put(monkeypatch, Nvcomp(spoil))
    x = field()
    with nvcomp_zstd():
        stream = fzdask.compress(cupy.asarray(x), **ASKED)
    assert nvcomp.frames
    assert stream == fzdask.compress(x, **ASKED)


def test_without_nvcomp_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", None)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    said = r"needs nvCOMP.*pip install 'fzdask\[nvcomp\]'"
    with pytest.raises(DeviceError, match=said), nvcomp_zstd():
        raise AssertionError
    assert Zstd not in BACK_ENDS


@pytest.mark.gpu
def test_nvcomp_on_a_gpu():
    cupy = pytest.importorskip("cupy")
    pytest.importorskip("nvidia.nvcomp", reason="pip install 'fzdask[nvcomp]'")
    x = field()
    with nvcomp_zstd():
        kernels = BACK_ENDS[Zstd]
        stream = fzdask.compress(cupy.asarray(x), **ASKED)
        section = cupy.asarray(np.resize(np.arange(5000) % 91, 300_000).astype("u1"))
        frame = kernels._frame(backend.cupy_device(), section)
    np.testing.assert_array_equal(fzdask.decompress(stream), fzdask.decompress(
        fzdask.compress(x, **ASKED)
    ))  # fmt: skip
    Zstd().check(frame.get(), section.size)  # one frame, not what the CPU would have to redo
    assert zstd.decompress(frame.get()) == section.get().tobytes()

"""Encoding and decoding on a GPU: device arrays in and out, the bytes of the CPU."""

from fzdask.codecs.device.streams import decode_device, encode_device, encode_sections

__all__ = ["decode_device", "encode_device", "encode_sections"]
